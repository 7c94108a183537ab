// SPDX-License-Identifier: Apache-2.0
// A whole collector edge in this process: PKI, journal, ingest and TLS server in a temporary
// directory.
#ifndef CULPRIT_TESTS_COLLECTOR_INGEST_COLLECTOR_FIXTURE_H_
#define CULPRIT_TESTS_COLLECTOR_INGEST_COLLECTOR_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "collector/ingest/ingest.h"
#include "collector/ingest/tls_server.h"
#include "collector/journal/journal.h"
#include "collector/pki/pki.h"
#include "culprit/v1/evidence.pb.h"

namespace culprit {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    path_ = (std::filesystem::temp_directory_path() / "culprit-net-XXXXXX").string();
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Collector {
 public:
  explicit Collector(const TemporaryDirectory& root) : root_(root.path()) {
    const auto made = InitPki(root_ + "/pki", {});
    if (!made) std::abort();
    paths_ = made->paths;
  }
  ~Collector() { Stop(); }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  void Start(IngestOptions options = {}) {
    JournalOptions journal;
    journal.directory = root_ + "/journal";
    journal.signing_key_path = paths_.journal_key;
    auto opened = Journal::Open(journal);
    ASSERT_TRUE(opened) << opened.error().message;
    journal_ = std::move(*opened);
    ingest_ = Ingest::Create(options, journal_.get());
    const auto credentials = CheckCredentials(paths_.server, ReadWallClock());
    ASSERT_TRUE(credentials) << credentials.error().message;
    auto server =
        StartTlsServer({"127.0.0.1:" + std::to_string(port_)}, *credentials, {ingest_->service()});
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
    port_ = server_->port();
  }
  void Stop() {
    if (!server_) return;
    ingest_->Drain(std::chrono::milliseconds(100));
    server_->Stop(std::chrono::milliseconds(3000));
    server_.reset();
    journal_->Stop();
    ingest_.reset();
    journal_.reset();
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  const PkiPaths& pki() const { return paths_; }
  Journal* journal() { return journal_.get(); }
  Ingest* ingest() { return ingest_.get(); }
  CredentialPaths Agent(const std::string& name, const PkiOptions& options = {}) const {
    const auto issued = IssueAgent(paths_.directory, name, root_ + "/" + name, options);
    if (!issued) std::abort();
    return issued->paths;
  }
  AgentIngestStats StatsOf(const std::string& name) const {
    for (const AgentIngestStats& s : ingest_->stats().agents) {
      if (s.name == name) return s;
    }
    return {};
  }
  // How often each (stream, lane, seq) is in the journal.
  std::map<std::tuple<std::string, int, std::uint64_t>, int> Journalled() {
    std::map<std::tuple<std::string, int, std::uint64_t>, int> out;
    const Status scanned = journal_->Scan(1, [&out](const StoredFrame& stored) {
      const FrameHeader& h = stored.frame.header;
      ++out[{h.stream_id.ToString(), static_cast<int>(h.lane), h.seq}];
      return true;
    });
    EXPECT_TRUE(scanned);
    return out;
  }

 private:
  std::string root_;
  PkiPaths paths_;
  int port_ = 0;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<TlsServer> server_;
};

// A batch that obeys the rules, distinct for each `n`.
inline std::string SomeBatch(std::uint64_t n) {
  v1::EvidenceBatch batch;
  batch.set_boot_id(std::string(16, 'b'));
  v1::ProcessExit* exit = batch.add_exits();
  exit->set_process_id(n + 1);
  exit->set_exit_boot_ns(n * 1000);
  return batch.SerializeAsString();
}

}  // namespace culprit

#endif  // CULPRIT_TESTS_COLLECTOR_INGEST_COLLECTOR_FIXTURE_H_
