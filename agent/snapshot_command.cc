// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot_command.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>

#include "agent/identity.h"
#include "agent/json_writer.h"
#include "agent/snapshot/snapshot.h"
#include "agent/snapshot_posture.h"
#include "agent/snapshot_writer.h"
#include "agent/status.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/ids.h"
#include "common/sha256.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

// "i-0123…_20260301T020304Z_1a2b3c4d.tar.zst"
std::string BundleName(const BundleHead& head) {
  std::string host;
  for (const char c : head.instance_id.empty() ? head.hostname : head.instance_id)
    host.push_back(std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' ? c
                                                                                            : '-');
  std::string time;
  for (const char c : FormatUtc(ReadWallClock()).substr(0, 19))
    if (c != '-' && c != ':') time.push_back(c);
  return host.substr(0, 64) + "_" + time + "Z_" + head.snapshot_id.substr(0, 8) + ".tar.zst";
}

// The file under a name of its own until it is whole.
class OutFile {
 public:
  static Result<OutFile> Open(const SnapshotCommand& command, const BundleHead& head) {
    OutFile out;
    if (command.out == "-") {
      out.fd_ = UniqueFd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
      if (!out.fd_) return ErrnoError("standard output");
      return out;
    }
    out.path_ = command.out;
    struct stat st {};
    if (command.out.empty()) {
      const std::string directory = command.config.state_dir + "/snapshots";
      TRY_VOID(MakeDirectories(directory, 0700));
      out.path_ = directory + "/" + BundleName(head);
    } else if (stat(command.out.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
      out.path_ = command.out + "/" + BundleName(head);
    }
    out.fd_ = UniqueFd(
        open(out.PartPath().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!out.fd_) return ErrnoError(out.PartPath());
    return out;
  }

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

  Status Keep() {
    if (path_.empty()) return Ok();
    if (fsync(fd_.get()) != 0) return ErrnoError(PartPath());
    TRY_VOID(RenameFile(PartPath(), path_));
    const std::size_t slash = path_.rfind('/');
    return SyncDirectory(slash == std::string::npos ? "." : path_.substr(0, slash + 1));
  }

 private:
  std::string PartPath() const { return path_ + ".part"; }
  UniqueFd fd_;
  std::string path_;
};

BundleHead MakeHead(const SnapshotCommand& command) {
  IdentityOptions identity;
  identity.source = command.config.identity.source;
  identity.endpoint = command.config.identity.endpoint;
  HostFacts host = LocalHostFacts(identity);
  if (identity.source == "imds" || (identity.source == "auto" && FirmwareSaysEc2(""))) {
    if (auto asked = AskImds(identity, host)) host = std::move(*asked);
  }
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
    return AskStatus(state_dir, true);
  };
  options.posture = CollectPosture;
  const bool terminal = isatty(STDERR_FILENO) == 1;
  options.progress = [terminal](unsigned /*tier*/, const std::string& step) {
    if (terminal) std::cerr << "collecting " << step << "\n";
  };
  TRY(OutFile out, OutFile::Open(command, options.head));
  Sha256 hash;
  std::uint64_t stored = 0;
  const auto sink = [&](std::string_view bytes) -> Status {
    hash.Update(bytes);
    stored += bytes.size();
    return WriteAll(out.fd(), bytes);
  };
  TRY(const SnapshotSummary summary, TakeSnapshot(options, std::move(key), sink));
  TRY_VOID(out.Keep());
  Report(command, options.head, summary, out.path(), HexEncode(AsBytes(hash.Finish())), stored,
         public_key);
  return Ok();
}

}  // namespace culprit
