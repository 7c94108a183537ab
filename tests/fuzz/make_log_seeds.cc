// SPDX-License-Identifier: Apache-2.0
// Writes the seeds of fuzz_spool_reader and fuzz_frame: make_log_seeds CORPUS_DIR
#include <cstdio>
#include <string>

#include "agent/spool/spool_state.h"
#include "collector/journal/journal_entry.h"
#include "common/file.h"
#include "common/framed_log.h"

namespace culprit {
namespace {

const Uuid kLogId = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

Frame MakeOne(std::uint64_t seq, const std::string& content) {
  FrameHeader header;
  header.lane = Lane::kBulk;
  header.stream_id = kLogId;
  header.seq = seq;
  header.record_count = 1;
  return *MakeFrame(header, content);
}

std::string Segment() {
  std::string bytes = EncodeSegmentHeader({LogKind::kSpool, kLogId, 1, WallTimeFromNs(1)});
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    bytes += EncodeRecord(MakeOne(seq, std::string(seq * 40, 'x')));
  }
  return bytes;
}

int Main(const std::string& directory) {
  bool ok = true;
  const auto write = [&](const std::string& name, const std::string& content) {
    ok = ok && WriteFileAtomically(directory + "/" + name, content).has_value();
  };
  const std::string segment = Segment();
  write("fuzz_spool_reader/whole", segment);
  write("fuzz_spool_reader/torn", segment.substr(0, segment.size() - 20));
  std::string flipped = segment;
  flipped[kSegmentHeaderBytes + 100] = '!';
  write("fuzz_spool_reader/flipped", flipped);
  flipped = segment;
  flipped[20] = '!';
  write("fuzz_spool_reader/header_flipped", flipped);
  write("fuzz_spool_reader/zeros", segment + std::string(200, '\0'));
  write("fuzz_spool_reader/stream", FormatStream({kLogId, Uuid{}, "new"}));
  write("fuzz_spool_reader/acked", FormatAcked({kLogId, {}}));
  SpoolLosses losses;
  losses.entries.push_back({SpoolLossEntry::State::kTaken, {}});
  write("fuzz_spool_reader/losses", FormatLosses(losses));

  const Frame compressed = MakeOne(1, std::string(300, 'y'));
  const Frame stored = MakeOne(2, "z");
  write("fuzz_frame/zstd", compressed.header_bytes + compressed.payload);
  write("fuzz_frame/none", stored.header_bytes + stored.payload);
  CollectorStamp stamp;
  stamp.agent_name = "web-1";
  const auto entry = EncodeEntry({kLogId, 1, {}, {}}, stamp, stored);
  if (!entry) return 1;
  write("fuzz_frame/entry", entry->head.substr(kRecordOverheadBytes) + stored.payload);
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) { return argc == 2 ? culprit::Main(argv[1]) : 2; }
