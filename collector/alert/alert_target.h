// SPDX-License-Identifier: Apache-2.0
// Where alerts go and which: a [[alert]] table of collector.toml as a plain struct.
// Stage: alert. Thread: values. Secrets are never in it, only the paths of the files that hold
// them.
#ifndef CULPRIT_COLLECTOR_ALERT_ALERT_TARGET_H_
#define CULPRIT_COLLECTOR_ALERT_ALERT_TARGET_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "culprit/v1/alerts.pb.h"

namespace culprit {

struct AlertTarget {
  std::string name;
  std::string kind;  // "webhook", "syslog", "command"

  // Which.
  v1::Severity min_severity = v1::SEVERITY_MEDIUM;
  std::vector<std::string> rules, hosts;  // none = all
  std::vector<std::string> events = {"opened", "raised", "closed"};

  // How. Of a webhook:
  std::string url, url_file;       // one of them; a URL that is a secret itself belongs in a file
  std::string secret_file;         // key of the signature; empty = unsigned
  std::string ca_file;             // empty = the system's authorities; of syslog by TLS too
  std::string proxy;               // empty = none, whatever the environment says
  std::string format = "culprit";  // "culprit", "slack", "ocsf", "ecs"; of a command too
  // Of syslog: "/dev/log", "udp://HOST:514", "tcp://HOST:601", "tls://HOST:6514".
  std::string address, facility = "authpriv";
  std::string certificate_file, key_file;  // who we are by TLS; empty = nobody asks
  std::vector<std::string> command;        // program and arguments, no shell

  std::chrono::milliseconds timeout{10'000};  // of one attempt, as a whole
  std::chrono::milliseconds retry_max{300'000};
  std::uint32_t max_queued = 10'000;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_ALERT_TARGET_H_
