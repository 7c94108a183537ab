// SPDX-License-Identifier: Apache-2.0
// What the spool's tests share: a small spool in a directory of its own, and a reader that sees it as the sender does.
#ifndef CULPRIT_TESTS_AGENT_SPOOL_SPOOL_FIXTURE_H_
#define CULPRIT_TESTS_AGENT_SPOOL_SPOOL_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "agent/spool/spool.h"
#include "tests/support/damage.h"
#include "tests/support/temp_dir.h"

namespace culprit {

class SpoolFixture : public ::testing::Test {
 protected:
  explicit SpoolFixture(TempDir::Where where = TempDir::Where::kDisk) : dir_(where) {
    options_.directory = dir_ / "spool";
  }

  void Open() {
    spool_.reset();
    auto spool = Spool::Open(options_);
    ASSERT_TRUE(spool.has_value()) << spool.error().message;
    spool_ = std::move(*spool);
  }
  // Appends a frame of about `size` bytes on disk; its content tells its number in the test.
  Result<FrameHeader> Append(Lane lane, std::size_t size = 300) {
    ++appended_;
    return spool_->Append(lane, FrameKind::kBatch,
                          {BootTimeFromNs(appended_), WallTimeFromNs(1'700'000'000), {}}, 7,
                          NoiseFor(appended_, lane, size));
  }
  void AppendMany(Lane lane, int n, std::size_t size = 300) {
    for (int i = 0; i < n; ++i) ASSERT_TRUE(Append(lane, size).has_value());
  }
  // All frames of a lane as the sender reads them; every chain link and hash is checked.
  std::vector<Frame> Read(Lane lane) const {
    std::vector<Frame> frames;
    for (const SpoolSegment& segment : spool_->segments(lane)) {
      auto fd = spool_->OpenSegment(lane, segment.number);
      EXPECT_TRUE(fd.has_value());
      auto reader = SegmentReader::Open(std::move(*fd), [](const ReadDamage&) {});
      EXPECT_TRUE(reader.has_value());
      for (auto frame = reader->Next(); frame && *frame; frame = reader->Next()) {
        EXPECT_EQ(FrameHash((*frame)->header_bytes, (*frame)->payload), (*frame)->hash);
        if (!frames.empty() && frames.back().header.seq + 1 == (*frame)->header.seq) {
          EXPECT_EQ((*frame)->header.prev_hash, frames.back().hash);
        }
        frames.push_back(std::move(**frame));
      }
    }
    return frames;
  }
  static std::vector<std::uint64_t> SeqsOf(const std::vector<Frame>& frames) {
    std::vector<std::uint64_t> seqs;
    for (const Frame& frame : frames) seqs.push_back(frame.header.seq);
    return seqs;
  }
  std::vector<std::uint64_t> Seqs(Lane lane) const { return SeqsOf(Read(lane)); }
  static std::vector<std::uint64_t> Range(std::uint64_t first, std::uint64_t last) {
    std::vector<std::uint64_t> seqs;
    for (std::uint64_t seq = first; seq <= last; ++seq) seqs.push_back(seq);
    return seqs;
  }
  std::vector<std::string> SegmentFiles() const {
    return FilesWithSuffix(options_.directory, ".clog");
  }
  std::string PathOf(const std::string& name) const { return options_.directory + "/" + name; }

  TempDir dir_;
  SpoolOptions options_;
  std::unique_ptr<Spool> spool_;
  std::uint64_t appended_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_TESTS_AGENT_SPOOL_SPOOL_FIXTURE_H_
