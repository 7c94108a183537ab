// SPDX-License-Identifier: Apache-2.0
#include "agent/spool/spool_state.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "common/ascii.h"
#include "common/crc32c.h"
#include "common/hex.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr std::string_view kChecksumWord = "crc32c ";
constexpr std::size_t kChecksumLine = kChecksumWord.size() + 8 + 1;

std::string WithChecksum(const std::string& text) {
  const std::uint32_t crc = Crc32c(text);
  return text + fmt::format("{}{:08x}\n", kChecksumWord, crc);
}

// Words of one line, and numbers out of them; any mistake sticks in `ok`.
class LineReader {
 public:
  explicit LineReader(std::string_view line) : rest_(line) {}

  std::string_view Word() {
    const std::string_view word = NextUntil(&rest_, ' ');
    if (word.empty()) ok_ = false;
    return word;
  }
  std::uint64_t Number() {
    std::uint64_t value = 0;
    ok_ = ParseWhole(Word(), &value) && ok_;
    return value;
  }
  Uuid Id() {
    const auto id = Uuid::Parse(Word());
    if (!id) ok_ = false;
    return id ? *id : Uuid{};
  }
  Sha256Digest Digest() {
    Sha256Digest digest{};
    const auto bytes = HexDecode(Word());
    if (!bytes || bytes->size() != digest.size()) {
      ok_ = false;
    } else {
      std::copy(bytes->begin(), bytes->end(), digest.begin());
    }
    return digest;
  }
  std::string_view Rest() { return std::exchange(rest_, {}); }
  void Expect(std::string_view word) { ok_ = Word() == word && ok_; }
  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// The lines of a checksummed text, the checksum taken off.
Result<std::vector<std::string_view>> CheckedLines(std::string_view text) {
  if (text.size() < kChecksumLine) return DataLoss("too short");
  const std::string_view body = text.substr(0, text.size() - kChecksumLine);
  if (text.substr(body.size()) != fmt::format("{}{:08x}\n", kChecksumWord, Crc32c(body))) {
    return DataLoss("checksum does not match");
  }
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = std::min(body.find('\n', at), body.size());
    lines.push_back(body.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

std::string OneLine(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\0'; }, ' ');
  return text;
}

}  // namespace

std::string FormatStream(const SpoolStream& stream) {
  return WithChecksum(fmt::format("culprit-spool 1\nstream {}\nprevious {}\nreason {}\n",
                                  stream.id.ToString(), stream.previous.ToString(),
                                  OneLine(stream.reason)));
}

Result<SpoolStream> ParseStream(std::string_view text) {
  TRY(const auto lines, CheckedLines(text));
  if (lines.size() != 4 || lines[0] != "culprit-spool 1") return DataLoss("not a stream file");
  SpoolStream stream;
  LineReader id(lines[1]);
  LineReader previous(lines[2]);
  LineReader reason(lines[3]);
  id.Expect("stream");
  stream.id = id.Id();
  previous.Expect("previous");
  stream.previous = previous.Id();
  reason.Expect("reason");
  stream.reason = reason.Rest();
  if (!id.ok() || !previous.ok() || !reason.ok()) return DataLoss("not a stream file");
  return stream;
}

std::string FormatAcked(const SpoolAcked& acked) {
  std::string text = fmt::format("stream {}\n", acked.stream.ToString());
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    const auto& lane = acked.lanes[i];
    text += fmt::format("{} acked {} newest {} segment {} hash {}\n", LaneName(static_cast<Lane>(i)),
                        lane.acked, lane.newest, lane.segment,
                        HexEncode(AsBytes(lane.newest_hash)));
  }
  return WithChecksum(text);
}

Result<SpoolAcked> ParseAcked(std::string_view text) {
  TRY(const auto lines, CheckedLines(text));
  if (lines.size() != 1 + kLaneCount) return DataLoss("not an acked file");
  SpoolAcked acked;
  LineReader first(lines[0]);
  first.Expect("stream");
  acked.stream = first.Id();
  bool ok = first.ok();
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    LineReader line(lines[1 + i]);
    auto& lane = acked.lanes[i];
    line.Expect(LaneName(static_cast<Lane>(i)));
    line.Expect("acked");
    lane.acked = line.Number();
    line.Expect("newest");
    lane.newest = line.Number();
    line.Expect("segment");
    lane.segment = line.Number();
    line.Expect("hash");
    lane.newest_hash = line.Digest();
    ok = ok && line.ok();
  }
  if (!ok) return DataLoss("not an acked file");
  return acked;
}

std::string FormatLosses(const SpoolLosses& losses) {
  std::string text = fmt::format("taken-after {}\n", losses.taken_after);
  for (const SpoolLossEntry& entry : losses.entries) {
    const SpoolLoss& loss = entry.loss;
    text += fmt::format("{} {} {} {} {} {} {} {} {} {}\n", static_cast<int>(entry.state),
                        static_cast<int>(loss.cause), static_cast<int>(loss.lane), loss.first_seq,
                        loss.last_seq, loss.frames, loss.bytes, loss.records,
                        HexEncode(AsBytes(loss.end_hash)), OneLine(loss.detail));
  }
  return WithChecksum(text);
}

Result<SpoolLosses> ParseLosses(std::string_view text) {
  TRY(const auto lines, CheckedLines(text));
  if (lines.empty()) return DataLoss("not a losses file");
  SpoolLosses losses;
  LineReader first(lines[0]);
  first.Expect("taken-after");
  losses.taken_after = first.Number();
  bool ok = first.ok();
  for (std::size_t i = 1; i < lines.size(); ++i) {
    LineReader line(lines[i]);
    SpoolLossEntry entry;
    const std::uint64_t state = line.Number();
    const std::uint64_t cause = line.Number();
    const std::uint64_t lane = line.Number();
    ok = ok && state <= 2 && cause <= 2 && lane < kLaneCount;
    entry.state = static_cast<SpoolLossEntry::State>(state);
    entry.loss.cause = static_cast<SpoolLoss::Cause>(cause);
    entry.loss.lane = static_cast<Lane>(lane);
    entry.loss.first_seq = line.Number();
    entry.loss.last_seq = line.Number();
    entry.loss.frames = line.Number();
    entry.loss.bytes = line.Number();
    entry.loss.records = line.Number();
    entry.loss.end_hash = line.Digest();
    entry.loss.detail = line.Rest();
    ok = ok && line.ok();
    losses.entries.push_back(std::move(entry));
  }
  if (!ok) return DataLoss("not a losses file");
  return losses;
}

std::string_view LaneName(Lane lane) { return lane == Lane::kEvidence ? "evidence" : "bulk"; }

std::string SpoolSegmentName(Lane lane, std::uint64_t number) {
  return fmt::format("{}-{:016x}.clog", LaneName(lane), number);
}

bool ParseSpoolSegmentName(std::string_view name, Lane* lane, std::uint64_t* number) {
  for (const Lane candidate : {Lane::kEvidence, Lane::kBulk}) {
    if (!name.starts_with(LaneName(candidate))) continue;
    const std::string_view rest = name.substr(LaneName(candidate).size());
    if (rest.size() != 1 + 16 + 5 || rest[0] != '-') continue;
    if (!ParseWhole(rest.substr(1, 16), number, 16)) continue;
    *lane = candidate;
    return name == SpoolSegmentName(candidate, *number);
  }
  return false;
}

}  // namespace culprit
