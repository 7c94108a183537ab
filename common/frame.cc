// SPDX-License-Identifier: Apache-2.0
#include "common/frame.h"

#include <zstd.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "common/bytes.h"

namespace culprit {
namespace {

constexpr int kZstdLevel = 3;  // decisions: 23 B a flow; higher levels cost more than they save

struct FreeZstd {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// A context costs more to make than to use: one a thread, and one output buffer of at most
// kMaxPayloadBytes.
struct Compressor {
  std::unique_ptr<ZSTD_CCtx, FreeZstd> context{ZSTD_createCCtx()};
  std::string output;
};

// The collector has a thread an agent, and a context has 96 KB: threads share as many as inflate at
// once.
class InflateContexts {
 public:
  using Context = std::unique_ptr<ZSTD_DCtx, FreeZstd>;

  static InflateContexts& Shared() {
    static auto* const shared = new InflateContexts;  // outlives threads that run on at the end
    return *shared;
  }
  Context Take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        Context context = std::move(idle_.back());
        idle_.pop_back();
        return context;
      }
    }
    return Context(ZSTD_createDCtx());
  }
  void Give(Context context) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kKept) idle_.push_back(std::move(context));
  }

 private:
  static constexpr std::size_t kKept = 16;
  std::mutex mutex_;
  std::vector<Context> idle_;
};

bool IsKnownKind(std::uint8_t kind) {
  switch (static_cast<FrameKind>(kind)) {
    case FrameKind::kBatch:
    case FrameKind::kLoss:
    case FrameKind::kJournalEntry:
      return true;
  }
  return false;
}

}  // namespace

bool operator==(const FrameHeader& a, const FrameHeader& b) {
  return EncodeFrameHeader(a) == EncodeFrameHeader(b);
}

std::string EncodeFrameHeader(const FrameHeader& header) {
  std::string bytes(kFrameHeaderBytes, '\0');
  char* p = bytes.data();
  StoreLe(p, kFrameMagic);
  StoreLe(p + 4, kFrameVersion);
  StoreLe(p + 6, static_cast<std::uint8_t>(header.kind));
  StoreLe(p + 7, static_cast<std::uint8_t>(header.lane));
  std::copy(header.stream_id.bytes.begin(), header.stream_id.bytes.end(), p + 8);
  StoreLe(p + 24, header.seq);
  StoreLe(p + 32, ToNs(header.clock.boot));
  StoreLe(p + 40, ToNs(header.clock.wall));
  StoreLe(p + 48, header.record_count);
  StoreLe(p + 52, header.payload_len);
  StoreLe(p + 56, header.inflated_len);
  StoreLe(p + 60, static_cast<std::uint8_t>(header.codec));
  StoreLe(p + 61, static_cast<std::uint8_t>(header.clock.sync));
  std::copy(header.prev_hash.begin(), header.prev_hash.end(), p + 64);
  return bytes;
}

Result<FrameHeader> DecodeFrameHeader(std::string_view bytes) {
  if (bytes.size() != kFrameHeaderBytes) return InvalidArgument("frame header is not 96 bytes");
  const char* p = bytes.data();
  if (LoadLe<std::uint32_t>(p) != kFrameMagic) return InvalidArgument("no frame magic");
  if (LoadLe<std::uint16_t>(p + 4) != kFrameVersion)
    return InvalidArgument("unknown frame version");
  const auto kind = LoadLe<std::uint8_t>(p + 6);
  const auto lane = LoadLe<std::uint8_t>(p + 7);
  const auto codec = LoadLe<std::uint8_t>(p + 60);
  const auto sync = LoadLe<std::uint8_t>(p + 61);
  if (!IsKnownKind(kind)) return InvalidArgument("unknown frame kind");
  if (lane >= kLaneCount) return InvalidArgument("unknown lane");
  if (codec > static_cast<std::uint8_t>(Codec::kZstd)) return InvalidArgument("unknown codec");
  if (sync > static_cast<std::uint8_t>(ClockSync::kUnsynced)) {
    return InvalidArgument("unknown clock state");
  }
  if (LoadLe<std::uint16_t>(p + 62) != 0) return InvalidArgument("reserved bytes are not zero");

  FrameHeader header;
  header.kind = static_cast<FrameKind>(kind);
  header.lane = static_cast<Lane>(lane);
  std::copy(p + 8, p + 24, header.stream_id.bytes.begin());
  header.seq = LoadLe<std::uint64_t>(p + 24);
  header.clock.boot = BootTimeFromNs(LoadLe<std::uint64_t>(p + 32));
  header.clock.wall = WallTimeFromNs(LoadLe<std::int64_t>(p + 40));
  header.clock.sync = static_cast<ClockSync>(sync);
  header.record_count = LoadLe<std::uint32_t>(p + 48);
  header.payload_len = LoadLe<std::uint32_t>(p + 52);
  header.inflated_len = LoadLe<std::uint32_t>(p + 56);
  header.codec = static_cast<Codec>(codec);
  std::copy(p + 64, p + 96, header.prev_hash.begin());
  if (header.payload_len > MaxPayloadBytes(header.kind)) {
    return InvalidArgument("payload over the limit");
  }
  if (header.inflated_len > kMaxInflatedBytes) {
    return InvalidArgument("inflated payload over the limit");
  }
  return header;
}

Sha256Digest FrameHash(std::string_view header_bytes, std::string_view payload) {
  thread_local Sha256 hash;
  hash.Update(header_bytes);
  hash.Update(payload);
  return hash.Finish();
}

Result<Frame> MakeFrame(FrameHeader header, std::string_view inflated) {
  if (inflated.size() > kMaxInflatedBytes) {
    return InvalidArgument("batch of " + std::to_string(inflated.size()) + " bytes is over 8 MiB");
  }
  thread_local Compressor compressor;
  const std::size_t room =
      std::min<std::size_t>(ZSTD_compressBound(inflated.size()), kMaxPayloadBytes);
  if (compressor.output.size() < room) compressor.output.resize(room);
  const std::size_t compressed =
      ZSTD_compressCCtx(compressor.context.get(), compressor.output.data(), room, inflated.data(),
                        inflated.size(), kZstdLevel);
  const bool fits = ZSTD_isError(compressed) == 0;

  Frame frame;
  header.inflated_len = static_cast<std::uint32_t>(inflated.size());
  if (fits && compressed < inflated.size()) {
    header.codec = Codec::kZstd;
    frame.payload.assign(compressor.output.data(), compressed);
  } else if (inflated.size() <= kMaxPayloadBytes) {
    header.codec = Codec::kNone;
    frame.payload.assign(inflated);
  } else {
    return InvalidArgument("batch of " + std::to_string(inflated.size()) +
                           " bytes does not compress to 1 MiB");
  }
  header.payload_len = static_cast<std::uint32_t>(frame.payload.size());
  frame.header = header;
  frame.header_bytes = EncodeFrameHeader(header);
  frame.hash = FrameHash(frame.header_bytes, frame.payload);
  return frame;
}

Status InflatePayloadInto(const FrameHeader& header, std::string_view payload, std::string* out) {
  if (payload.size() != header.payload_len) {
    return InvalidArgument("payload has another length than its header says");
  }
  if (header.inflated_len > kMaxInflatedBytes) {
    return InvalidArgument("inflated payload over the limit");
  }
  if (header.codec == Codec::kNone) {
    if (header.inflated_len != header.payload_len) {
      return InvalidArgument("uncompressed payload with two lengths");
    }
    out->assign(payload);
    return Ok();
  }
  // The zstd frame states its own content size; checked first, so that a lie allocates nothing.
  if (ZSTD_getFrameContentSize(payload.data(), payload.size()) != header.inflated_len) {
    return InvalidArgument("compressed payload does not announce the header's length");
  }
  InflateContexts::Context context = InflateContexts::Shared().Take();
  if (!context) return MakeError(Code::kResourceExhausted, "no memory to inflate a payload");
  out->resize(header.inflated_len);
  const std::size_t n =
      ZSTD_decompressDCtx(context.get(), out->data(), out->size(), payload.data(), payload.size());
  InflateContexts::Shared().Give(std::move(context));
  if (ZSTD_isError(n) != 0) {
    return InvalidArgument(std::string("payload does not inflate: ") + ZSTD_getErrorName(n));
  }
  if (n != header.inflated_len) return InvalidArgument("payload inflates to another length");
  return Ok();
}

Result<std::string> InflatePayload(const FrameHeader& header, std::string_view payload) {
  std::string inflated;
  TRY_VOID(InflatePayloadInto(header, payload, &inflated));
  return inflated;
}

}  // namespace culprit
