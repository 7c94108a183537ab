// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot_writer.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "agent/bundle_file.h"
#include "agent/process/child_process.h"
#include "agent/snapshot/snapshot.h"
#include "agent/snapshot/snapshot_spool.h"
#include "agent/snapshot_cloud.h"
#include "agent/snapshot_posture.h"
#include "agent/status.h"
#include "common/file.h"
#include "common/sha256.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::uint64_t kMemory = 512ULL << 20;  // far above what it takes: only a fault gets there
// In sixteenths of the bundle: what is left is the manifest's.
constexpr std::array<std::uint64_t, kTiers> kShares = {4, 8, 3};

// Others come first, and the kernel ends this process before the sensor if memory runs out.
void StepBack() {
  static_cast<void>(setpriority(PRIO_PROCESS, 0, 10));
  const rlimit memory{kMemory, kMemory};
  static_cast<void>(setrlimit(RLIMIT_DATA, &memory));
  const UniqueFd fd(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (fd) static_cast<void>(WriteAll(fd.get(), "500"));
}

SnapshotLimits LimitsFor(std::uint64_t max_bytes) {
  SnapshotLimits limits;
  for (unsigned tier = 0; tier < kTiers; ++tier) {
    std::uint64_t& bytes = limits.tier_bytes.at(tier);
    bytes = std::min(bytes, max_bytes / 16 * kShares.at(tier));
  }
  return limits;
}

class Writer {
 public:
  Writer(const SnapshotWriterOptions& options, SnapshotSpool spool, SpoolOrder order)
      : options_(options), spool_(std::move(spool)), order_(std::move(order)) {}

  Status Run() {
    auto key = Ed25519Key::LoadOrMake(options_.state_dir + "/snapshot.key");
    auto summary = key ? TakeSnapshot(Options(), std::move(*key), Sink())
                       : Result<SnapshotSummary>(key.error());
    if (fdatasync(kLinkFd) != 0 && summary) summary = ErrnoError("the bundle");
    SnapshotTotals end;
    end.bundle_bytes = stored_;
    end.sha256 = hash_.Finish();
    if (summary) {
      end.members = summary->members;
      end.member_bytes = summary->bytes;
      end.skipped = summary->skipped;
    } else {
      end.broken = summary.error().message;
    }
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    end.peak_rss_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) << 10;
    for (const timeval& time : {usage.ru_utime, usage.ru_stime})
      end.cpu_us += static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
                    static_cast<std::uint64_t>(time.tv_usec);
    TRY_VOID(spool_.End(order_.id, end));
    return summary ? Ok() : Status(summary.error());
  }

 private:
  SnapshotOptions Options() {
    SnapshotOptions options;
    options.head.snapshot_id = order_.id.ToString();
    options.head.instance_id = order_.instance_id;
    options.head.hostname = order_.hostname;
    options.head.tool = "culprit-agent " + options_.version;
    options.head.tool_sha256 = HashOfThisProgram();
    options.head.trigger = order_.trigger;
    options.head.operator_name = order_.operator_name;
    options.head.case_id = order_.case_id;
    options.limits = LimitsFor(order_.max_bytes);
    options.last_tier = order_.last_tier;
    options.state_dir = options_.state_dir;
    options.agent_status = [state_dir = options_.state_dir] {
      return AskStatus(state_dir, StatusForm::kJson);
    };
    options.posture = CollectPosture;
    options.cloud = CloudCollector(order_.instance_id, options_.metadata);
    options.progress = [this](unsigned tier, const std::string& step) {
      static_cast<void>(spool_.Step(order_.id, {0, step, tier}));  // only for whoever watches
    };
    return options;
  }

  ByteSink Sink() {
    return [this](std::string_view bytes) -> Status {
      if (stored_ + bytes.size() > order_.max_bytes) {
        return MakeError(Code::kResourceExhausted, "the bundle reached " +
                                                       FormatByteSize(order_.max_bytes) +
                                                       ", all that snapshot.max_bytes leaves it");
      }
      TRY_VOID(WriteAll(kLinkFd, bytes));
      hash_.Update(bytes);
      stored_ += bytes.size();
      return Ok();
    };
  }

  const SnapshotWriterOptions& options_;
  const SnapshotSpool spool_;
  const SpoolOrder order_;
  Sha256 hash_;
  std::uint64_t stored_ = 0;
};

}  // namespace

Status RunSnapshotWriter(const SnapshotWriterOptions& options) {
  struct stat st {};
  if (fstat(kLinkFd, &st) != 0 || !S_ISREG(st.st_mode)) {
    return FailedPrecondition("there is no bundle on descriptor 3: only culprit-agent starts this");
  }
  StepBack();
  TRY(SnapshotSpool spool, SnapshotSpool::Open(options.spool_directory));
  TRY(const Uuid id, Uuid::Parse(options.id));
  TRY(SpoolOrder order, spool.Order(id));
  return Writer(options, std::move(spool), std::move(order)).Run();
}

}  // namespace culprit
