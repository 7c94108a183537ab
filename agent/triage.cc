// SPDX-License-Identifier: Apache-2.0
#include "agent/triage.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <thread>

#include "agent/bundle_file.h"
#include "agent/snapshot/snapshot.h"
#include "agent/snapshot_cloud.h"
#include "agent/snapshot_posture.h"
#include "agent/ssh_check.h"
#include "common/bundle_summary.h"
#include "common/file.h"
#include "common/ids.h"

namespace culprit {
namespace {

constexpr std::int64_t kRecentNs = 7LL * 86'400 * 1'000'000'000;  // of keys

void AddPosture(const std::string& root, TriageReport* report) {
  SshCheckOptions options;
  options.root = root;
  const auto posture = SshCheck(options);
  if (!posture) {
    report->gaps.push_back("the SSH posture: " + posture.error().message);
    return;
  }
  for (const PostureFinding& finding : posture->findings) {
    if (finding.severity < Severity::kHigh) continue;
    const bool critical = finding.severity == Severity::kCritical;
    std::string text = finding.reason;
    if (!finding.evidence.empty())
      text += " (" + finding.evidence.front().origin.ToString() + " " +
              finding.evidence.front().text + ")";
    report->facts.push_back(
        {critical ? TriageRank::kCritical : TriageRank::kHigh, finding.id, 0, std::move(text)});
  }
  for (const KeyRecord& key : posture->keys) {
    TriageKey out;
    out.user = key.user;
    out.type = key.type;
    out.fingerprint = key.fingerprint.empty() ? "broken line" : key.fingerprint;
    out.comment = key.comment;
    out.options = key.options;
    out.place = key.path + ":" + std::to_string(key.line);
    out.accepted = key.accepted;
    out.locked = key.immutable || key.append_only;
    out.changed_ns = key.mtime_ns;
    report->keys.push_back(std::move(out));
  }
  for (const std::string& limit : posture->limits)
    report->gaps.push_back("the SSH posture: " + limit);
  if (report->ended_ns == 0) report->ended_ns = ToNs(ReadWallClock());
  JudgeKeys(report, kRecentNs);
}

// Of what stands out in the bundle: what the report does not have from elsewhere.
void AddNotable(const BundleSummary& summary, TriageReport* report) {
  struct Kind {
    std::string_view name;
    TriageRank rank;
  };
  constexpr std::array<Kind, 10> kKinds = {{{"hidden-process", TriageRank::kHidden},
                                            {"memory-executable", TriageRank::kMemoryProgram},
                                            {"deleted-executable", TriageRank::kDeletedProgram},
                                            {"odd-executable", TriageRank::kOddPlace},
                                            {"hidden-module", TriageRank::kCritical},
                                            {"preload", TriageRank::kCritical},
                                            {"packet-socket", TriageRank::kCrafted},
                                            {"locked-file", TriageRank::kLockedKeys},
                                            {"scheduled", TriageRank::kPersistence},
                                            {"deleted-file", TriageRank::kPersistence}}};
  for (const Notable& notable : summary.notable) {
    const auto* kind = std::ranges::find(kKinds, notable.kind, &Kind::name);
    if (kind != kKinds.end())
      report->facts.push_back({kind->rank, notable.kind, notable.pid, notable.text});
    if (notable.kind == "damaged") report->gaps.push_back("the bundle: " + notable.text);
  }
  if (summary.skipped > 0)
    report->gaps.push_back(std::to_string(summary.skipped) +
                           " things skipped or cut in the snapshot, each with its reason in "
                           "errors-tier*.jsonl");
}

// Reads a bundle while it is written: it may go to a pipe, and be nowhere afterwards.
class SummaryOnTheWay {
 public:
  static Result<std::unique_ptr<SummaryOnTheWay>> Start() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoError("pipe");
    return std::unique_ptr<SummaryOnTheWay>(
        new SummaryOnTheWay(UniqueFd(ends[0]), UniqueFd(ends[1])));
  }
  ~SummaryOnTheWay() { write_ = UniqueFd(); }
  SummaryOnTheWay(const SummaryOnTheWay&) = delete;
  SummaryOnTheWay& operator=(const SummaryOnTheWay&) = delete;

  Status Write(std::string_view bytes) { return WriteAll(write_.get(), bytes); }
  Result<BundleSummary> Finish() {
    write_ = UniqueFd();
    thread_.join();
    return std::move(summary_);
  }

 private:
  SummaryOnTheWay(UniqueFd read_end, UniqueFd write_end)
      : read_(std::move(read_end)), write_(std::move(write_end)), thread_([this] {
          summary_ = SummariseBundle(SourceOf(read_.get()));
          std::array<char, 65'536> rest{};  // or the writer would wait
          while (read(read_.get(), rest.data(), rest.size()) > 0) continue;
        }) {}

  UniqueFd read_, write_;
  Result<BundleSummary> summary_ = Unavailable("the bundle was not read");
  std::jthread thread_;
};

SnapshotOptions SnapshotOf(const TriageOptions& options, const std::string& root,
                           const TriageReport& report) {
  SnapshotOptions snapshot;
  snapshot.root = root;
  snapshot.head.snapshot_id = Uuid::Random().ToString();
  snapshot.head.instance_id = report.instance;
  snapshot.head.hostname = report.host;
  snapshot.head.tool = "culprit-agent " + options.version;
  snapshot.head.tool_sha256 = HashOfThisProgram();
  snapshot.head.trigger = root == "/" ? "triage" : "triage of a disk";
  snapshot.head.operator_name = options.operator_name;
  snapshot.head.case_id = options.case_id;
  const std::string json = TriageJson(report), text = TriageText(report);
  snapshot.watched = [json, text](Evidence& evidence) {
    for (const auto& [name, bytes] :
         {std::pair("live/triage.json", &json), std::pair("live/triage.txt", &text)}) {
      BundleMember member;
      member.name = name;
      member.source = "what was seen before the snapshot began";
      evidence.AddBytes(std::move(member), *bytes);
    }
  };
  if (options.metadata)
    snapshot.cloud = CloudCollector(report.instance, IdentityOptions().endpoint);
  snapshot.posture = [root](Evidence& evidence) { CollectPostureOf(evidence, root); };
  snapshot.progress = [](unsigned /*tier*/, const std::string& step) {
    std::cerr << "collecting " << step << "\n";
  };
  return snapshot;
}

Status TakeBundle(const TriageOptions& options, const std::string& root, TriageReport* report) {
  // Whoever owns the host later must not be able to sign in its place, so the key is not kept.
  TRY(Ed25519Key key, Ed25519Key::Make());
  report->bundle_key = SshFingerprint(key.public_key());
  const SnapshotOptions snapshot = SnapshotOf(options, root, *report);
  TRY(BundleFile file, BundleFile::Open(options.out, ".", snapshot.head));
  TRY(const auto summary, SummaryOnTheWay::Start());
  const auto sink = [&](std::string_view bytes) -> Status {
    TRY_VOID(file.Write(bytes));
    return summary->Write(bytes);
  };
  TRY(const SnapshotSummary taken, TakeSnapshot(snapshot, std::move(key), sink));
  TRY_VOID(file.Keep());
  report->bundle = file.path();
  report->bundle_bytes = file.bytes();
  report->bundle_sha256 = file.Sha256Hex();
  std::cerr << "collected " << taken.members << " members\n";
  if (const auto notable = summary->Finish()) {
    AddNotable(*notable, report);
  } else {
    report->gaps.push_back("what stands out in the bundle: " + notable.error().message);
  }
  return Ok();
}

Result<TriageReport> Live(const TriageOptions& options) {
  TriageBook book;
  std::vector<std::string> gaps;
  const Status watched = WatchHost(options, &book, &gaps);
  TriageReport report = MakeTriageReport(book);
  for (std::string& gap : gaps) report.gaps.push_back(std::move(gap));
  if (!watched) {
    report.watched = false;
    report.gaps.push_back(
        "nothing was watched, so who talks to whom is in the snapshot's tables "
        "alone (live/sockets*.jsonl): " +
        watched.error().message);
  }
  IdentityOptions identity;
  identity.source = options.metadata ? "auto" : "machine";
  const HostFacts host = AskWhoThisIs(identity);
  report.host = host.hostname;
  report.instance = host.instance_id;
  report.os = host.os;
  report.kernel = host.kernel;
  return report;
}

}  // namespace

Result<TriageReport> Triage(const TriageOptions& options) {
  std::array<char, PATH_MAX> real{};
  if (realpath(options.root.c_str(), real.data()) == nullptr) return ErrnoError(options.root);
  const std::string root = real.data();
  auto report = root == "/" ? Live(options) : ReadDisk(root);
  if (!report) return report;
  report->tool = "culprit-agent " + options.version;
  AddPosture(root, &*report);
  SortFacts(&*report);
  if (options.bundle) TRY_VOID(TakeBundle(options, root, &*report));
  SortFacts(&*report);
  return report;
}

}  // namespace culprit
