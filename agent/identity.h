// SPDX-License-Identifier: Apache-2.0
// Who this host says it is: from the EC2 instance metadata service (IMDSv2) where it answers, else
// machine id and host name. All of it is a claim. Stage: wiring (edge: files, one HTTP endpoint).
// Thread: LocalHostFacts() on the caller's; HostIdentity asks IMDS on a thread of its own, so that
// nothing waits for it. Answers are bounded (64 KiB, 2 s).
#ifndef CULPRIT_AGENT_IDENTITY_H_
#define CULPRIT_AGENT_IDENTITY_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agent/model/record.h"
#include "common/result.h"
#include "common/unique_fd.h"

namespace culprit {

struct IdentityOptions {
  std::string source = "auto";  // auto | imds | machine
  std::string endpoint = "http://169.254.169.254";
  std::string root;  // prefix of /etc, /sys and /proc files; for tests
  std::string agent_version;
  std::chrono::milliseconds timeout = std::chrono::seconds(1);  // of one exchange
  std::vector<std::chrono::milliseconds> retries = {
      std::chrono::seconds(2), std::chrono::seconds(10), std::chrono::minutes(1),
      std::chrono::minutes(10)};
  // Once it has answered: elastic addresses come and go.
  std::chrono::milliseconds again = std::chrono::minutes(5);
};

// What the host itself tells: identity_source "machine", instance id "machine-" and 16 hex digits.
HostFacts LocalHostFacts(const IdentityOptions& options);
// Whether the firmware says Amazon EC2 (reads /sys, asks nobody).
bool FirmwareSaysEc2(const std::string& root);
// NAME="value" of os-release(5).
std::string OsReleaseField(std::string_view text, std::string_view name);
// The text fields of the identity document's (flat) JSON object that we know. Total on any bytes;
// an error without an instance id.
Status ApplyIdentityDocument(std::string_view json, HostFacts* facts);
// Token, document, public address. Errors: no answer in time, or not what IMDSv2 answers.
Result<HostFacts> AskImds(const IdentityOptions& options, HostFacts facts);

// What proves which instance this is: bytes as IMDS gives them.
struct InstanceProof {
  std::string instance_id;
  std::string document, rsa2048;
};
// Errors: likewise.
Result<InstanceProof> AskImdsDocument(const IdentityOptions& options);

class HostIdentity {
 public:
  explicit HostIdentity(IdentityOptions options);
  ~HostIdentity();

  // What is known now: at once, better later. A changed answer makes poll_fd() readable, once.
  HostFacts facts() const;
  int poll_fd() const { return event_fd_.get(); }
  void ClearEvent();
  // Why IMDS did not answer; empty if it did or was not asked.
  std::string problem() const;

 private:
  void Run(const std::stop_token& stop);

  IdentityOptions options_;
  UniqueFd event_fd_;
  mutable std::mutex mutex_;
  std::condition_variable_any wait_;
  HostFacts facts_;
  std::string problem_;
  std::jthread thread_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_IDENTITY_H_
