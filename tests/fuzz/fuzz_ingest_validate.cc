// SPDX-License-Identifier: Apache-2.0
// Ingest validation on anything that an agent could send. The first byte chooses how the rest is
// used: as a whole frame, as the inflated payload of a frame whose header and hash are right (else
// nothing would get past the hash), or as a hello.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "collector/ingest/sequence.h"
#include "collector/ingest/validate.h"

namespace {

using culprit::AgentSequence;
using culprit::Frame;
using culprit::FrameHeader;
using culprit::FrameValidator;
using culprit::Uuid;
using culprit::ValidFrame;

const Uuid kStream{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

void Check(const ValidFrame& valid) {
  if (valid.rejected_records > valid.records) std::abort();
  if (culprit::FrameHash(valid.frame.header_bytes, valid.frame.payload) != valid.frame.hash)
    std::abort();
  AgentSequence sequence;
  sequence.Observe(valid.frame.header, valid.frame.hash);
  sequence.Settle(valid.frame.header.stream_id, valid.frame.header.lane, valid.frame.header.seq,
                  true);
  if (!sequence.Settled()) std::abort();
}

void WholeFrame(std::string_view bytes) {
  std::string header(bytes.substr(0, culprit::kFrameHeaderBytes));
  std::string payload(bytes.substr(header.size()));
  const culprit::Sha256Digest hash = culprit::FrameHash(header, payload);
  Uuid stream = kStream;
  if (const auto decoded = culprit::DecodeFrameHeader(header)) stream = decoded->stream_id;
  FrameValidator validator(stream);
  const auto valid = validator.Validate(header, payload, culprit::AsBytes(hash));
  if (valid) Check(*valid);
}

void InflatedPayload(std::string_view bytes) {
  FrameHeader header;
  header.stream_id = kStream;
  header.seq = 1;
  const auto frame = culprit::MakeFrame(header, bytes);
  if (!frame) return;
  FrameValidator validator(kStream);
  const auto valid =
      validator.Validate(frame->header_bytes, frame->payload, culprit::AsBytes(frame->hash));
  if (valid) Check(*valid);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 3) {
    case 0:
      WholeFrame(bytes);
      break;
    case 1:
      InflatedPayload(bytes);
      break;
    default: {
      culprit::v1::Hello hello;
      if (hello.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        const auto claim = culprit::ValidateHello(hello);
        if (claim) AgentSequence().OnHello(*claim);
      }
    }
  }
  return 0;
}
