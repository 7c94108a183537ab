// SPDX-License-Identifier: Apache-2.0
// TriageReport: what one watch and one look at a host say, in the order in which somebody at night
// wants to read it: what stands out, who talks to whom and on whose behalf, who logged in, which
// keys open the door.
//
//   TriageBook --MakeTriageReport--> TriageReport --> text, JSON
//
// Stage: triage, pure. Thread: values. Facts are exact and name what was seen; nothing is learned
// or compared with yesterday, which only a collector can do. Texts of the host are as they are in
// the report, and escaped by the two formats.
#ifndef CULPRIT_AGENT_TRIAGE_TRIAGE_REPORT_H_
#define CULPRIT_AGENT_TRIAGE_TRIAGE_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/triage/triage_book.h"

namespace culprit {

// How telling a kind of fact is: the lowest first.
enum class TriageRank : std::uint8_t {
  kSshRelay,        // sshd itself connects out for a login
  kHidden,          // a process that one of the kernel's lists lacks
  kMemoryProgram,   // a program without a file talks
  kDeletedProgram,  // one whose file is gone
  kOddPlace,        // one from where anybody can write
  kCritical,        // of the SSH posture, and preload, hidden modules
  kCrafted,         // packets past the stack
  kManyAttempts,
  kPassesOn,  // accepts from elsewhere and connects elsewhere
  kLockedKeys,
  kNewKeys,
  kPersistence,
  kHigh,       // of the SSH posture
  kSendsMost,  // who does is always told
};

struct TriageFact {
  TriageRank rank = TriageRank::kSendsMost;
  std::string kind;  // "ssh-relay", "deleted-program", …
  std::uint32_t pid = 0;
  std::string text;
};

struct TriageLogin {
  LoginFacts login;  // without a line of a log: user and kind alone
  std::optional<SessionFacts> session;
  std::int64_t at_ns = 0;  // as the log says, else when the session began; 0 = not known
  bool ended = false;
  std::string by;  // how a process belongs to it: "descent", "audit session", "inferred: …"
};

struct TriageDestination {
  std::string protocol, direction, remote, name;             // remote: "192.0.2.1:443"
  std::uint64_t flows = 0, open = 0, older = 0, failed = 0;  // older: than the watch
  std::uint64_t tx_bytes = 0, rx_bytes = 0, tx_payload_bytes = 0, rx_payload_bytes = 0;
  std::int64_t first_ns = 0, last_ns = 0;
};

struct TriageProcess {
  ProcessFacts facts;
  bool ended = false;
  std::vector<std::string> ancestry;  // from the parent up: "812 sshd"
  std::optional<TriageLogin> login;
  // To others than this host, over the whole life of each flow; `before`: of that, before the
  // watch.
  std::uint64_t tx_bytes = 0, rx_bytes = 0, tx_before = 0, rx_before = 0;
  std::uint64_t local_tx_bytes = 0;             // on loopback
  std::vector<TriageDestination> destinations;  // most bytes first, at most 20
  std::uint64_t more_destinations = 0;
  std::vector<std::string> listens;
  std::uint64_t attempts = 0, failed_attempts = 0;
  std::uint64_t crafted_packets = 0;  // through raw and packet sockets
};

struct TriageKey {
  std::string user, type, fingerprint, comment, options, place;  // place: "FILE:LINE"
  bool accepted = false, locked = false;
  std::int64_t changed_ns = 0;  // of the file
};

struct TriageFailures {
  std::string address, user;
  std::uint64_t count = 0;
};

struct TriageReport {
  std::string tool, host, instance, os, kernel, root;  // root: of a mounted disk; empty: this host
  std::int64_t began_ns = 0, ended_ns = 0;
  bool watched = false;
  std::vector<TriageFact> facts;         // most telling first
  std::vector<TriageProcess> processes;  // that have flows, most bytes sent first, at most 50
  std::uint64_t more_processes = 0;
  std::vector<TriageLogin> logins;       // newest first, at most 100
  std::vector<TriageFailures> failures;  // most first, at most 20
  std::uint64_t failed_attempts = 0;
  std::vector<TriageKey> keys;
  std::vector<std::string> gaps;                  // what was lost or could not be looked at
  std::string bundle, bundle_sha256, bundle_key;  // file, hash, fingerprint; empty: none
  std::uint64_t bundle_bytes = 0;
};

// Everything but keys, bundle and host of a disk.
TriageReport MakeTriageReport(const TriageBook& book);
// Facts of the keys: locked ones, and those in files that changed within `recent_ns` before the
// end.
void JudgeKeys(TriageReport* report, std::int64_t recent_ns);
// After the last fact was added.
void SortFacts(TriageReport* report);
// One sentence.
std::string TriageVerdict(const TriageReport& report);

std::string TriageText(const TriageReport& report);
std::string TriageJson(const TriageReport& report);

// Parts of MakeTriageReport.
void JudgeProcesses(TriageReport* report);
// "python3 relay.py", else the path, else the name.
std::string CommandOf(const ProcessFacts& process);
// "alice from 192.0.2.1:5000 by publickey SHA256:…".
std::string LoginText(const TriageLogin& login);

}  // namespace culprit

#endif  // CULPRIT_AGENT_TRIAGE_TRIAGE_REPORT_H_
