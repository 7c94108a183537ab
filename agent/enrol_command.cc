// SPDX-License-Identifier: Apache-2.0
#include "agent/enrol_command.h"

#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "agent/enrol/agent_key.h"
#include "agent/identity.h"
#include "agent/json_writer.h"
#include "agent/process/backoff.h"
#include "agent/process/child_process.h"
#include "agent/stream/enrol_link.h"
#include "common/credentials.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/log.h"

namespace culprit {
namespace {

constexpr std::chrono::seconds kTryTimeout{60};
constexpr std::size_t kFingerprintBytes = 32;
constexpr mode_t kPrivate = 0600;

CredentialPaths PathsOf(const AgentConfig& config) {
  return {config.collector.ca, config.collector.certificate, config.collector.key};
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

Result<std::string> ReadFingerprint(std::string text) {
  if (text.starts_with("SHA256:")) text.erase(0, 7);
  std::erase(text, ':');
  std::erase(text, ' ');
  auto bytes = HexDecode(text);
  if (!bytes || bytes->size() != kFingerprintBytes) {
    return InvalidArgument("--ca-fingerprint: expected a SHA-256 (64 hexadecimal digits)");
  }
  return bytes;
}

// How the collector is known. Without that, anybody on the way could be it.
Status AddTrust(const EnrolCommand& command, EnrolJob* job) {
  if (!command.ca_fingerprint.empty()) {
    TRY(job->ca_sha256, ReadFingerprint(command.ca_fingerprint));
    return Ok();
  }
  const std::string& path =
      command.ca_file.empty() ? command.config.collector.ca : command.ca_file;
  auto pem = ReadPemFile(path);
  if (pem && ReadCertificate(*pem)) {
    job->ca_pem = std::move(*pem);
    return Ok();
  }
  if (!command.ca_file.empty() && !pem) return std::move(pem).error();
  return InvalidArgument(
      (pem ? path + " is no PEM certificate" : "it is not known by what to know the collector") +
      ": give --ca-fingerprint SHA256, as `install.sh collector` shows it there, or --ca FILE");
}

// The key is on disk before anybody is asked: an answer that is lost can be asked for again.
Result<std::string> KeyOf(const EnrolCommand& command) {
  const std::string& path = command.config.collector.key;
  if (Exists(path) && !command.again) return ReadPemFile(path);
  TRY(std::string key, MakeAgentKey());
  TRY_VOID(WriteFileAtomically(path + ".next", key, kPrivate));
  if (!Exists(path)) TRY_VOID(RenameFile(path + ".next", path));
  return key;
}

// Who this host is, and what proves it.
Status AddIdentity(const EnrolCommand& command, EnrolJob* job) {
  IdentityOptions options;
  options.source = command.config.identity.source;
  options.endpoint = command.config.identity.endpoint;
  options.agent_version = command.version;
  HostFacts facts = LocalHostFacts(options);
  job->hostname = facts.hostname;
  const bool ec2 = options.source == "imds" || (options.source == "auto" && FirmwareSaysEc2(""));
  if (command.token.empty() && !ec2) {
    return InvalidArgument(
        "this is no EC2 instance (or identity.source says so): enrol it by a join token, "
        "CULPRIT_TOKEN or --token-file, as `culprit-collector token create` makes one");
  }
  job->host_id = facts.instance_id;
  if (ec2) {
    auto document = AskImdsDocument(options);
    if (!document && command.token.empty()) return std::move(document).error();
    if (document) {
      job->host_id = document->instance_id;
      if (command.token.empty()) {
        job->document = std::move(document->document);
        job->signature = std::move(document->rsa2048);
      }
    }
  }
  if (!command.host_id.empty()) job->host_id = command.host_id;
  job->token = command.token;
  return Ok();
}

Result<EnrolJob> JobOf(const EnrolCommand& command, const std::string& key_pem) {
  EnrolJob job;
  job.program = command.config.SenderProgram();
  job.user = command.config.sender.user;
  TRY(job.address, command.config.EnrolAddress());
  job.server_name = command.config.collector.server_name;
  job.agent_version = command.version;
  TRY_VOID(AddTrust(command, &job));
  TRY_VOID(AddIdentity(command, &job));
  TRY(job.signing_request, MakeSigningRequest(key_pem, job.host_id));
  return job;
}

// What the sender brought: for our key, of the CA that was named, good now. Then it is written, the
// certificate last, since the agent takes it as the sign that all is there.
Result<CertificateInfo> Keep(const EnrolCommand& command, const EnrolJob& job,
                             const EnrolAnswer& answer, const std::string& key_pem) {
  const CredentialPaths paths = PathsOf(command.config);
  TRY(const CertificateInfo ca, ReadCertificate(answer.ca_pem));
  const bool named = job.ca_sha256.empty() ? answer.ca_pem == job.ca_pem
                                           : AsBytes(ca.sha256) == job.ca_sha256;
  if (!named) return DataLoss("the sender brought the certificate of another CA");
  const CredentialPaths next{paths.ca + ".next", paths.certificate + ".next", paths.key + ".next"};
  TRY_VOID(WriteFileAtomically(next.ca, answer.ca_pem, kPrivate));
  TRY_VOID(WriteFileAtomically(next.certificate, answer.certificate_pem, kPrivate));
  TRY_VOID(WriteFileAtomically(next.key, key_pem, kPrivate));
  TRY(const Credentials good, CheckCredentials(next, ReadWallClock()));
  TRY_VOID(RenameFile(next.ca, paths.ca));
  TRY_VOID(RenameFile(next.key, paths.key));
  TRY_VOID(RenameFile(next.certificate, paths.certificate));
  TRY_VOID(SyncDirectory(paths.certificate.substr(0, paths.certificate.rfind('/'))));
  return good.certificate;
}

bool IsWorthAnotherTry(Code code) {
  return code == Code::kUnavailable || code == Code::kDeadlineExceeded ||
         code == Code::kResourceExhausted;
}

Result<EnrolAnswer> AskUntil(const EnrolCommand& command, const EnrolJob& job) {
  const auto deadline = std::chrono::steady_clock::now() + command.wait;
  Backoff backoff;
  std::string said;
  std::mutex mutex;
  std::condition_variable_any wake;
  for (;;) {
    auto answer = EnrolBySender(job, kTryTimeout, command.stop);
    if (answer || !IsWorthAnotherTry(answer.error().code)) return answer;
    const auto pause = backoff.Next(Random32());
    if (std::chrono::steady_clock::now() + pause > deadline) return answer;
    if (said != answer.error().message) {
      spdlog::warn("not enrolled yet: {}; trying again", answer.error().message);
      said = answer.error().message;
    }
    std::unique_lock lock(mutex);
    if (wake.wait_for(lock, command.stop, pause, [&] { return command.stop.stop_requested(); })) {
      return answer;
    }
  }
}

std::string Report(const EnrolCommand& command, const CertificateInfo& certificate, bool done) {
  if (command.json) {
    return fmt::format("{{\"host\":\"{}\",\"enrolled\":{},\"not_after\":\"{}\"}}\n",
                       certificate.common_name, done, FormatUtc(certificate.not_after));
  }
  if (!done) {
    return fmt::format("this host has enrolled already, as {}; its certificate is good until {}\n",
                       certificate.common_name, FormatUtc(certificate.not_after));
  }
  return fmt::format(
      "enrolled as {}; the certificate is good until {}, and the agent renews it by itself\n{}",
      certificate.common_name, FormatUtc(certificate.not_after),
      command.again ? "an agent that runs has the old key: systemctl restart culprit-agent\n" : "");
}

}  // namespace

Result<std::string> RunEnrol(const EnrolCommand& command) {
  const CredentialPaths paths = PathsOf(command.config);
  if (!command.again) {
    if (const auto there = CheckCredentials(paths, ReadWallClock()); there) {
      return Report(command, there->certificate, false);
    }
  }
  TRY_VOID(MakeDirectories(paths.key.substr(0, paths.key.rfind('/')), 0700));
  TRY(const std::string key_pem, KeyOf(command));
  TRY(const EnrolJob job, JobOf(command, key_pem));
  TRY(const EnrolAnswer answer, AskUntil(command, job));
  TRY(const CertificateInfo certificate, Keep(command, job, answer, key_pem));
  return Report(command, certificate, true);
}

}  // namespace culprit
