// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/snapshot.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "agent/snapshot/host_state.h"
#include "agent/snapshot/network.h"
#include "agent/snapshot/places.h"
#include "agent/snapshot/processes.h"

namespace culprit {
namespace {

constexpr std::size_t kOwnFiles = 64;
constexpr std::uint64_t kSpoolFile = 16ULL << 20;

// What belongs to a snapshot while it lasts. Collectors that get stuck keep it alive.
struct Scene {
  SnapshotOptions options;
  HostFiles host;
  SnapshotProcfs procfs;
  FoundProcesses facts;
  std::vector<std::string> homes;
};

// The agent itself first: only it knows of processes that are gone.
void CollectAgentStatus(Evidence& evidence, const Scene& scene) {
  if (!scene.options.agent_status) return;
  const auto status = scene.options.agent_status();
  if (!status) {
    evidence.Skip("the running agent", status.error().message);
    return;
  }
  BundleMember member;
  member.name = "live/agent-status.json";
  member.source = "what the running agent says of itself";
  evidence.AddBytes(std::move(member), *status);
}

// The files of a folder of the agent's own, the newest first.
void CollectFolder(Evidence& evidence, const Scene& scene, const std::string& directory,
                   const std::string& prefix) {
  bool cut = false;
  const auto names = scene.host.List(directory, kOwnFiles, &cut);
  if (!names) {
    if (names.error().code != Code::kNotFound) evidence.Skip(directory, names.error().message);
    return;
  }
  if (cut) evidence.Skip(directory, "more files than the limit");
  for (auto name = names->rbegin(); name != names->rend() && !evidence.Over(); ++name) {
    const std::string path = directory + "/" + *name;
    FileEntry entry;
    const auto fd = scene.host.OpenRegular(path, &entry);
    if (!fd) {
      evidence.Skip(path, fd.error().message);
      continue;
    }
    evidence.AddFile({fd->get(), prefix + *name, path, entry.facts, kSpoolFile, {}});
  }
}

// How the host was before.
void CollectCheckpoints(Evidence& evidence, const Scene& scene) {
  if (!scene.options.state_dir.empty())
    CollectFolder(evidence, scene, scene.options.state_dir + "/checkpoints", "checkpoints/");
}

// Evidence that no collector has yet, and what the packet ring keeps.
void CollectAgentFiles(Evidence& evidence, const Scene& scene) {
  if (scene.options.state_dir.empty()) return;
  for (const std::string part : {"/spool", "/packets"})
    CollectFolder(evidence, scene, scene.options.state_dir + part, "live/agent" + part + "/");
}

using Collector = void (*)(Evidence&, Scene&);
struct Step {
  unsigned tier;
  bool live;  // of a host that runs
  const char* name;
  Collector run;
};

constexpr Step kSteps[] = {
    {0, false, "watch",
     [](Evidence& e, Scene& s) {
       if (s.options.watched) s.options.watched(e);
     }},
    {0, true, "clocks", [](Evidence& e, Scene& s) { CollectClocks(e, s.host, "first"); }},
    {0, false, "agent", [](Evidence& e, Scene& s) { CollectAgentStatus(e, s); }},
    {0, true, "processes",
     [](Evidence& e, Scene& s) { CollectProcesses(e, s.host, s.procfs, &s.facts); }},
    {0, true, "network", [](Evidence& e, Scene& s) { CollectNetwork(e, s.procfs, s.facts); }},
    {0, true, "mounts", [](Evidence& e, Scene& s) { CollectMounts(e, s.procfs, s.facts); }},
    {0, true, "sessions", [](Evidence& e, Scene& s) { CollectSessions(e, s.host); }},
    {0, true, "kernel", [](Evidence& e, Scene& s) { CollectKernel(e, s.host); }},
    {0, true, "bpf", [](Evidence& e, Scene& /*s*/) { CollectBpf(e); }},
    {0, true, "cloud",
     [](Evidence& e, Scene& s) {
       if (s.options.cloud) s.options.cloud(e);
     }},
    {0, false, "checkpoints", [](Evidence& e, Scene& s) { CollectCheckpoints(e, s); }},
    {1, true, "executables",
     [](Evidence& e, Scene& s) { CollectExecutables(e, s.procfs, s.facts); }},
    {1, true, "deleted files",
     [](Evidence& e, Scene& s) { CollectOpenDeleted(e, s.procfs, s.facts); }},
    {1, true, "memory", [](Evidence& e, Scene& s) { CollectMemory(e, s.procfs, s.facts); }},
    {1, false, "agent's spool and packets", [](Evidence& e, Scene& s) { CollectAgentFiles(e, s); }},
    {1, false, "temporary places and logs",
     [](Evidence& e, Scene& s) { CollectPlaces(e, s.host, VolatilePlaces(), s.homes); }},
    {2, false, "persistence",
     [](Evidence& e, Scene& s) { CollectPlaces(e, s.host, PersistentPlaces(), s.homes); }},
    {2, false, "sshd",
     [](Evidence& e, Scene& s) {
       if (s.options.posture) s.options.posture(e);
     }},
    {2, true, "clocks", [](Evidence& e, Scene& s) { CollectClocks(e, s.host, "last"); }},
};

}  // namespace

Result<SnapshotSummary> TakeSnapshot(const SnapshotOptions& options, Ed25519Key key,
                                     ByteSink sink) {
  const bool live = options.root == "/";
  TRY(HostFiles host, HostFiles::Open(options.root));
  const auto scene = std::make_shared<Scene>(
      Scene{options, std::move(host), live ? OpenProcfs() : SnapshotProcfs{}, {}, {}});
  if (live && !scene->procfs.fd) return Unavailable("/proc is not mounted");
  scene->homes = HomeDirectories(scene->host);
  BundleHead head = options.head;
  head.started = ReadWallClock();
  head.boot_id = scene->host.Read("/proc/sys/kernel/random/boot_id", 36).value_or("");
  head.limits = DescribeLimits(options.limits);
  TRY(auto writer, BundleWriter::Open(head, std::move(key), std::move(sink)));
  EvidenceLog log(std::move(writer), options.limits);
  for (unsigned tier = 0; tier <= options.last_tier && tier < kTiers; ++tier) {
    log.BeginTier(tier);
    for (const Step& step : kSteps) {
      if (step.tier != tier || (step.live && !live)) continue;
      if (options.progress) options.progress(tier, step.name);
      log.Run(step.name, [scene, run = step.run](Evidence& evidence) { run(evidence, *scene); });
    }
    log.EndTier();
  }
  TRY_VOID(log.Finish());
  return SnapshotSummary{log.members(), log.bytes(), log.skipped()};
}

}  // namespace culprit
