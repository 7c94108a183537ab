// SPDX-License-Identifier: Apache-2.0
// What the journal's tests share: a small journal in a directory of its own, a key pair, and agents' frames.
#ifndef CULPRIT_TESTS_COLLECTOR_JOURNAL_JOURNAL_FIXTURE_H_
#define CULPRIT_TESTS_COLLECTOR_JOURNAL_JOURNAL_FIXTURE_H_

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <cstdio>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "collector/journal/journal.h"
#include "tests/support/damage.h"
#include "tests/support/temp_dir.h"

namespace culprit {

// An agent that makes a chain of frames.
class FrameMaker {
 public:
  explicit FrameMaker(Uuid stream = Uuid::Random(), Lane lane = Lane::kBulk)
      : stream_(stream), lane_(lane) {}
  Frame Make(std::size_t size = 200) {
    FrameHeader header;
    header.lane = lane_;
    header.stream_id = stream_;
    header.seq = ++seq_;
    header.clock = {BootTimeFromNs(seq_), WallTimeFromNs(1'700'000'000), ClockSync::kSynced};
    header.record_count = 3;
    header.prev_hash = prev_;
    auto frame = MakeFrame(header, NoiseFor(seq_, lane_, size));
    prev_ = frame->hash;
    return std::move(*frame);
  }
  const Uuid& stream() const { return stream_; }

 private:
  Uuid stream_;
  Lane lane_;
  std::uint64_t seq_ = 0;
  Sha256Digest prev_{};
};

class JournalFixture : public ::testing::Test {
 protected:
  explicit JournalFixture(TempDir::Where where = TempDir::Where::kDisk) : dir_(where) {
    options_.directory = dir_ / "journal";
    options_.segment_bytes = 4 << 10;
  }

  void Open() {
    journal_.reset();
    auto journal = Journal::Open(options_);
    ASSERT_TRUE(journal.has_value()) << journal.error().message;
    journal_ = std::move(*journal);
  }
  static CollectorStamp StampAt(std::int64_t second) {
    CollectorStamp stamp;
    stamp.received = WallTimeFromNs(second * 1'000'000'000);
    stamp.agent_id = *Uuid::Parse("11111111-2222-3333-4444-555555555555");
    stamp.agent_name = "web-1";
    stamp.peer = "ipv4:192.0.2.1:4711";
    stamp.certificate_sha256 = Sha256Of("certificate");
    stamp.sequence = SequenceState::kInOrder;
    stamp.skew_ns = -5;
    return stamp;
  }
  Result<Lsn> Append(Frame frame, std::int64_t second = 100) {
    std::promise<Result<Lsn>> promise;
    journal_->Append(StampAt(second), std::move(frame),
                     [&](Result<Lsn> lsn) { promise.set_value(std::move(lsn)); });
    return promise.get_future().get();
  }
  void AppendMany(FrameMaker* maker, int n, std::size_t size = 200) {
    for (int i = 0; i < n; ++i) {
      const auto lsn = Append(maker->Make(size));
      ASSERT_TRUE(lsn.has_value()) << lsn.error().message;
    }
  }
  std::vector<StoredFrame> ScanAll(Lsn first = 1) {
    std::vector<StoredFrame> all;
    const Status status = journal_->Scan(first, [&](const StoredFrame& stored) {
      all.push_back(stored);
      return true;
    });
    EXPECT_TRUE(status.has_value());
    return all;
  }
  std::vector<Lsn> Lsns(Lsn first = 1) {
    std::vector<Lsn> lsns;
    for (const StoredFrame& stored : ScanAll(first)) lsns.push_back(stored.lsn);
    return lsns;
  }
  static std::vector<Lsn> Range(Lsn first, Lsn last) {
    std::vector<Lsn> lsns;
    for (Lsn lsn = first; lsn <= last; ++lsn) lsns.push_back(lsn);
    return lsns;
  }
  // Writes an Ed25519 key pair to DIR/key.pem and DIR/public.pem.
  void UseSigningKey() {
    EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    options_.signing_key_path = dir_ / "key.pem";
    FILE* file = std::fopen(options_.signing_key_path.c_str(), "w");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    file = std::fopen((dir_ / "public.pem").c_str(), "w");
    PEM_write_PUBKEY(file, key);
    std::fclose(file);
    EVP_PKEY_free(key);
  }
  JournalVerifyReport Verify() {
    const bool with_key = !options_.signing_key_path.empty();
    auto report = VerifyJournal(options_.directory, with_key ? dir_ / "public.pem" : "");
    EXPECT_TRUE(report.has_value());
    return report ? std::move(*report) : JournalVerifyReport{};
  }
  static std::string Text(const std::vector<JournalDamage>& damage) {
    std::string text;
    for (const JournalDamage& one : damage) text += one.file + ": " + one.what + "\n";
    return text;
  }
  std::string PathOf(const std::string& name) const { return options_.directory + "/" + name; }
  std::vector<std::string> SegmentFiles() const {
    return FilesWithSuffix(options_.directory, ".clog");
  }

  TempDir dir_;
  JournalOptions options_;
  std::unique_ptr<Journal> journal_;
};

}  // namespace culprit

#endif  // CULPRIT_TESTS_COLLECTOR_JOURNAL_JOURNAL_FIXTURE_H_
