// SPDX-License-Identifier: Apache-2.0
#include "collector/snapshot/snapshot_transfer.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <thread>
#include <utility>
#include <vector>

#include "collector/snapshot/custody.h"
#include "common/crc32c.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/sha256.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t kWindow = 1U << 20;
constexpr std::uint32_t kProbe = 4096;
constexpr std::size_t kRead = std::size_t{256} << 10;
constexpr milliseconds kLook{50};
constexpr std::size_t kMaxDefects = 20;
constexpr std::size_t kMaxProblem = 1000;
// Far more than an agent collects: a bundle that unpacks to more is an attack.
constexpr BundleLimits kLimits{2'000'000, std::uint64_t{16} << 30};

template <class Visit>
Status VisitFile(int fd, const Visit& visit) {
  std::string buffer(kRead, '\0');
  for (std::uint64_t offset = 0;;) {
    const ssize_t n = pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read a bundle");
    if (n == 0) return Ok();
    visit(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
    offset += static_cast<std::uint64_t>(n);
  }
}

constexpr std::string_view kStoring = "storing: ";  // begins what this machine has to answer for
bool IsStorage(const Error& error) { return error.message.starts_with(kStoring); }

bool OnlyTruncated(const BundleVerdict& verdict) {
  return std::all_of(
      verdict.findings.begin(), verdict.findings.end(),
      [](const BundleFinding& finding) { return finding.defect == BundleDefect::kTruncated; });
}

// Waits, but for a stop.
void Sleep(milliseconds span, const std::stop_token& stop) {
  const auto until = std::chrono::steady_clock::now() + span;
  while (!stop.stop_requested() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::min(kLook, span));
}

}  // namespace

SnapshotTransfer::SnapshotTransfer(SnapshotTransferDeps deps, v1::Snapshot snapshot)
    : deps_(std::move(deps)),
      snapshot_(std::move(snapshot)),
      agent_id_(Uuid::Parse(snapshot_.agent_id()).value_or(Uuid{})),
      id_bytes_(Uuid::Parse(snapshot_.id()).value_or(Uuid{}).AsBytes()) {}

void SnapshotTransfer::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    Status status = part_ ? Ok() : Open();
    if (status && !done_) status = AskOnce(stop);
    if (status && done_) {
      status = Finish("");
      if (status) return;
    }
    if (status) continue;
    if (stop.stop_requested() || Handle(status.error(), stop)) return;
  }
}

// What was stored before counts as far as it is on the disk.
Status SnapshotTransfer::Open() {
  auto part = deps_.files.OpenPart(snapshot_.id());
  if (!part) return std::move(part).error().Context("storing");
  stored_ = 0;
  crc_ = 0;
  const Status read = VisitFile(part->get(), [this](std::string_view bytes) {
    crc_ = Crc32c(bytes, crc_);
    stored_ += bytes.size();
  });
  if (!read) return Error(read.error()).Context("storing");
  broke_ = stored_ > 0;
  snapshot_.set_stored_bytes(stored_);
  part_ = std::move(*part);
  return Ok();
}

Status SnapshotTransfer::CheckRoom() const {
  const SnapshotStoreLimits& limits = deps_.limits;
  TRY(const std::uint64_t used, deps_.files.UsedBytes());
  if (limits.max_bytes != 0 && used + kWindow > limits.max_bytes) {
    return MakeError(Code::kResourceExhausted,
                     "storing: quota: bundles take " + FormatByteSize(used) +
                         " of snapshot.max_bytes at the collector: remove some (`culprit snapshot "
                         "remove ID`) or raise it");
  }
  if (limits.min_free_bytes == 0) return Ok();
  TRY(const std::uint64_t free, deps_.files.FreeBytes());
  if (free < limits.min_free_bytes + kWindow) {
    return MakeError(Code::kResourceExhausted,
                     "storing: disk: only " + FormatByteSize(free) + " are free under " +
                         deps_.files.directory() +
                         " at the collector; snapshot.min_free is kept for evidence");
  }
  return Ok();
}

Status SnapshotTransfer::AskOnce(const std::stop_token& stop) {
  if (stored_ > deps_.limits.max_bundle_bytes) {
    return MakeError(Code::kOutOfRange, "it is longer than snapshot.max_bundle_bytes");
  }
  TRY_VOID(CheckRoom());
  v1::SnapshotRequest request;
  request.set_snapshot_id(id_bytes_);
  request.set_offset(stored_);
  request.set_prefix_crc32c(crc_);
  request.set_window_bytes(kWindow);
  if (!snapshot_.offered() && snapshot_.first_ns() == 0 && stored_ == 0) {
    request.mutable_order()->set_last_tier(snapshot_.last_tier());
    request.mutable_order()->set_trigger(snapshot_.trigger());
    request.mutable_order()->set_operator_name(snapshot_.operator_name());
    request.mutable_order()->set_case_id(snapshot_.case_id());
  }
  storing_ = Ok();
  const std::uint64_t before = stored_;
  Status asked = deps_.control.AskForSnapshot(
      agent_id_, request,
      [this](v1::SnapshotPart&& part) {
        storing_ = Store(part);
        return storing_.has_value();
      },
      [&stop] { return stop.stop_requested(); });
  if (storing_ && stored_ > before && fdatasync(part_.get()) != 0) storing_ = ErrnoError("sync");
  if (!storing_) {
    part_.Reset();  // what is there is read again
    done_ = false;
    return Error(storing_.error()).Context("storing: disk");
  }
  if (asked || stored_ > before) Moved(stored_ > before);
  return asked;
}

Status SnapshotTransfer::Store(const v1::SnapshotPart& part) {
  // Of what cannot be written a piece may be there: the part is read again then.
  TRY_VOID(WriteAll(part_.get(), part.data()));
  stored_ += part.data().size();
  crc_ = Crc32c(part.data(), crc_);
  if (part.has_step()) {
    snapshot_.set_collected_bytes(part.step().collected_bytes());
    snapshot_.set_step(EscapeText(part.step().name()));
    snapshot_.set_step_tier(part.step().tier());
  }
  if (part.has_totals()) {
    totals_ = part.totals();
    done_ = true;
  }
  return Ok();
}

// A window is on the disk, or the agent has said that it is at work.
void SnapshotTransfer::Moved(bool bytes) {
  const std::int64_t now = ToNs(deps_.now());
  snapshot_.set_stored_bytes(stored_);
  if (bytes) {
    if (std::exchange(broke_, false)) snapshot_.set_resumed(snapshot_.resumed() + 1);
    probed_ = false;
    if (snapshot_.first_ns() == 0) snapshot_.set_first_ns(now);
    snapshot_.set_last_ns(now);
  }
  moved_ = Clock::now();
  static_cast<void>(Change(v1::SNAPSHOT_STATE_ARRIVING, ""));
}

// True: the snapshot is final.
bool SnapshotTransfer::Handle(const Error& error, const std::stop_token& stop) {
  if (IsStorage(error)) {
    Wait(error.message, stop);
    return false;
  }
  const bool may_come = Clock::now() - moved_ <= deps_.limits.give_up;
  broke_ |= stored_ > 0;
  switch (error.code) {
    case Code::kCancelled:
      return false;
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kResourceExhausted:
    case Code::kDataLoss:
    case Code::kInternal:
      if (!may_come || (error.code == Code::kInternal && stored_ == 0)) break;
      VerifySoFar();
      Wait(error.message, stop);
      return false;
    case Code::kNotFound:
      if (!std::exchange(probed_, true) && stored_ > 0 && BeginAgain(stop)) return false;
      break;
    default:
      break;
  }
  if (const Status finished = Finish(error.message); !finished) {
    Wait(finished.error().message, stop);
    return false;
  }
  return true;
}

// After a power cut of this machine the end of the part may be other bytes than were sent. If the
// agent still has the bundle, it comes once more from its beginning.
bool SnapshotTransfer::BeginAgain(const std::stop_token& stop) {
  v1::SnapshotRequest request;
  request.set_snapshot_id(id_bytes_);
  request.set_window_bytes(kProbe);
  const Status there = deps_.control.AskForSnapshot(
      agent_id_, request, [](v1::SnapshotPart&&) { return true; },
      [&stop] { return stop.stop_requested(); });
  if (!there) return false;
  spdlog::warn("snapshot begins again: what is stored is not what was sent id={} bytes={}",
               snapshot_.id(), stored_);
  if (ftruncate(part_.get(), 0) != 0) return false;
  part_.Reset();
  return true;
}

void SnapshotTransfer::Wait(const std::string& problem, const std::stop_token& stop) {
  static_cast<void>(Change(v1::SNAPSHOT_STATE_WAITING,
                           problem.substr(problem.starts_with(kStoring) ? kStoring.size() : 0)));
  if (deps_.control.IsConnected(agent_id_)) return Sleep(deps_.limits.try_again, stop);
  const auto until = Clock::now() + deps_.limits.give_up;
  while (!stop.stop_requested() && !deps_.control.IsConnected(agent_id_) && Clock::now() < until)
    Sleep(kLook, stop);
}

// Tiers that came are evidence already, should the rest never come.
void SnapshotTransfer::VerifySoFar() {
  if (stored_ == 0 || verified_ == stored_) return;
  verified_ = stored_;
  const auto fd = deps_.files.OpenStored(snapshot_);
  const auto verdict =
      fd ? VerifyBundle(SourceOf(fd->get()), {}, kLimits) : Result<BundleVerdict>(fd.error());
  if (verdict) TakeVerdict(*verdict);
}

void SnapshotTransfer::TakeVerdict(const BundleVerdict& verdict) {
  snapshot_.set_members(verdict.members);
  snapshot_.set_member_bytes(verdict.bytes);
  snapshot_.clear_whole_tiers();
  for (const TierEnd& tier : verdict.tiers) snapshot_.add_whole_tiers(tier.tier);
  if (verdict.key) snapshot_.set_key_fingerprint(SshFingerprint(*verdict.key));
}

// Nothing more comes. Errors: it cannot be stored; to be tried again. Only what is stored is
// released at the agent.
Status SnapshotTransfer::Finish(const std::string& broken) {
  const v1::Snapshot before = snapshot_;
  if (Status settled = Settle(broken); !settled) {
    snapshot_ = before;
    return std::move(settled).error().Context("storing: disk");
  }
  deps_.control.ReleaseSnapshot(agent_id_, id_bytes_);
  return Ok();
}

Status SnapshotTransfer::Settle(const std::string& broken) {
  snapshot_.set_final_ns(ToNs(deps_.now()));
  snapshot_.clear_step();
  if (stored_ == 0) {
    return Change(v1::SNAPSHOT_STATE_FAILED,
                  broken.empty() ? "the agent sent an empty bundle" : broken);
  }
  Sha256 hash;
  TRY_VOID(VisitFile(part_.get(), [&](std::string_view bytes) { hash.Update(bytes); }));
  const Sha256Digest digest = hash.Finish();
  if (lseek(part_.get(), 0, SEEK_SET) != 0) return ErrnoError("read a bundle");
  TRY(const BundleVerdict verdict, VerifyBundle(SourceOf(part_.get()), {}, kLimits));
  TakeVerdict(verdict);
  snapshot_.set_sha256(HexEncode(AsBytes(digest)));
  snapshot_.set_skipped(totals_.skipped());
  snapshot_.set_peak_rss_bytes(totals_.peak_rss_bytes());
  snapshot_.set_cpu_us(totals_.cpu_us());
  const bool as_said = !done_ || totals_.sha256() == AsBytes(digest);
  const auto [state, problem] = Judge(verdict, as_said, broken);
  TRY_VOID(deps_.files.Keep(snapshot_.id(), snapshot_.sha256()));
  Custody("received", snapshot_.host(), "");
  Custody("verified", "collector",
          problem.empty() ? "whole, in order, unchanged, signed by " + snapshot_.key_fingerprint()
                          : problem);
  return Change(state, problem);
}

std::pair<v1::SnapshotState, std::string> SnapshotTransfer::Judge(const BundleVerdict& verdict,
                                                                  bool as_said,
                                                                  const std::string& broken) {
  std::vector<std::string> defects;
  for (const BundleFinding& finding : verdict.findings)
    defects.push_back(std::string(DefectName(finding.defect)) + ": " + EscapeText(finding.what));
  const std::string ended = !broken.empty() ? broken : EscapeText(totals_.broken());
  const bool cut = !verdict.good() && OnlyTruncated(verdict);
  bool refused = !verdict.good() && !cut;
  const auto refuse = [&](std::string defect) {
    refused = true;
    defects.push_back(std::move(defect));
  };
  if (!as_said) refuse("edited: it has another hash than its agent said");
  if (verdict.head && verdict.head->snapshot_id != snapshot_.id())
    refuse("another: it is snapshot " + EscapeText(verdict.head->snapshot_id) +
           ", which was not asked for here");
  if (verdict.good() && verdict.tiers.size() <= snapshot_.last_tier())
    refuse("missing: it has fewer tiers than were asked for");
  snapshot_.clear_defects();
  for (std::size_t i = 0; i < defects.size() && i < kMaxDefects; ++i)
    snapshot_.add_defects(defects[i]);
  const std::string first = defects.empty() ? "" : defects.front();
  if (!snapshot_.key_fingerprint().empty())
    snapshot_.set_key_known(deps_.key_known(snapshot_.agent_id(), snapshot_.key_fingerprint()));
  if (refused) return {v1::SNAPSHOT_STATE_REFUSED, first};
  if (cut || !ended.empty()) return {v1::SNAPSHOT_STATE_PARTIAL, ended.empty() ? first : ended};
  return {v1::SNAPSHOT_STATE_COMPLETE, ""};
}

void SnapshotTransfer::Custody(const std::string& action, const std::string& actor,
                               const std::string& note) {
  v1::CustodyEntry entry;
  entry.set_action(action);
  entry.set_actor(actor);
  entry.set_at_ns(ToNs(deps_.now()));
  entry.set_sha256(snapshot_.sha256());
  entry.set_note(note);
  AddCustody(std::move(entry), &snapshot_);
}

Status SnapshotTransfer::Change(v1::SnapshotState state, std::string problem) {
  problem = EscapeText(problem.substr(0, kMaxProblem));  // an agent may have worded it
  const bool news = snapshot_.state() != state || snapshot_.problem() != problem;
  if (news && !problem.empty()) {
    spdlog::warn("snapshot id={} host={} state={} problem=\"{}\"", snapshot_.id(), snapshot_.host(),
                 v1::SnapshotState_Name(state), problem);
  } else if (news) {
    spdlog::info("snapshot id={} host={} state={} bytes={}", snapshot_.id(), snapshot_.host(),
                 v1::SnapshotState_Name(state), snapshot_.stored_bytes());
  }
  snapshot_.set_state(state);
  snapshot_.set_problem(std::move(problem));
  return deps_.changed(snapshot_, news);
}

}  // namespace culprit
