// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot_command.h"

#include <unistd.h>

#include <iostream>

#include "agent/bundle_file.h"
#include "agent/json_writer.h"
#include "agent/snapshot/snapshot.h"
#include "agent/snapshot_cloud.h"
#include "agent/snapshot_posture.h"
#include "agent/status.h"
#include "common/file.h"
#include "common/ids.h"
#include "common/sha256.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

BundleHead MakeHead(const SnapshotCommand& command) {
  IdentityOptions identity;
  identity.source = command.config.identity.source;
  identity.endpoint = command.config.identity.endpoint;
  const HostFacts host = AskWhoThisIs(identity);
  BundleHead head;
  head.snapshot_id = Uuid::Random().ToString();
  head.instance_id = host.instance_id;
  head.hostname = host.hostname;
  head.tool = "culprit-agent " + command.version;
  head.tool_sha256 = HashOfThisProgram();
  head.trigger = "operator";
  head.operator_name = command.operator_name;
  head.case_id = command.case_id;
  return head;
}

void Report(const SnapshotCommand& command, const BundleHead& head, const SnapshotSummary& summary,
            const std::string& path, const std::string& sha256, std::uint64_t stored,
            const Ed25519PublicKey& key) {
  // Standard output may be the bundle itself.
  std::ostream& out = command.out == "-" ? std::cerr : std::cout;
  if (command.json) {
    JsonWriter json;
    json.Open('{');
    json.Field("snapshot", head.snapshot_id);
    json.Field("instance", head.instance_id);
    json.Field("file", path);
    json.Field("sha256", sha256);
    json.Field("bytes", stored);
    json.Field("members", summary.members);
    json.Field("member_bytes", summary.bytes);
    json.Field("skipped", summary.skipped);
    json.Field("key_fingerprint", SshFingerprint(key));
    json.Close('}');
    out << json.text() << "\n";
    return;
  }
  out << "snapshot   " << head.snapshot_id << "\n"
      << "bundle     " << (path.empty() ? "standard output" : EscapeText(path)) << ", "
      << FormatByteSize(stored) << "\n"
      << "sha256     " << sha256 << "\n"
      << "content    " << summary.members << " members, " << FormatByteSize(summary.bytes) << "; "
      << summary.skipped << " skipped or cut, each with its reason in errors-tier*.jsonl\n"
      << "signed by  " << SshFingerprint(key) << "\n"
      << "Write the fingerprint and the hash down elsewhere: whoever owns this host can sign "
         "another bundle.\n";
}

}  // namespace

Status RunSnapshot(const SnapshotCommand& command) {
  TRY_VOID(MakeDirectories(command.config.state_dir, 0700));
  TRY(Ed25519Key key, Ed25519Key::LoadOrMake(command.config.state_dir + "/snapshot.key"));
  const Ed25519PublicKey public_key = key.public_key();
  SnapshotOptions options;
  options.head = MakeHead(command);
  options.last_tier = command.last_tier;
  options.state_dir = command.config.state_dir;
  options.agent_status = [state_dir = command.config.state_dir] {
    return AskStatus(state_dir, StatusForm::kJson);
  };
  options.posture = CollectPosture;
  options.cloud = CloudCollector(options.head.instance_id, command.config.identity.endpoint);
  const bool terminal = isatty(STDERR_FILENO) == 1;
  options.progress = [terminal](unsigned /*tier*/, const std::string& step) {
    if (terminal) std::cerr << "collecting " << step << "\n";
  };
  TRY(BundleFile out,
      BundleFile::Open(command.out, command.config.state_dir + "/snapshots", options.head));
  const auto sink = [&out](std::string_view bytes) { return out.Write(bytes); };
  TRY(const SnapshotSummary summary, TakeSnapshot(options, std::move(key), sink));
  TRY_VOID(out.Keep());
  Report(command, options.head, summary, out.path(), out.Sha256Hex(), out.bytes(), public_key);
  return Ok();
}

}  // namespace culprit
