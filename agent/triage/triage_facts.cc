// SPDX-License-Identifier: Apache-2.0
// What of a report stands out: plain rules over what was seen, each naming it.
#include <algorithm>
#include <array>

#include "agent/triage/triage_report.h"
#include "common/ascii.h"
#include "common/time.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::uint64_t kManyAttempts = 200;
constexpr std::uint64_t kPassedOn = 4'096;  // bytes each way: less is a greeting
constexpr std::uint16_t kDns = 53;
constexpr std::size_t kNamed = 3;  // destinations in a sentence

bool IsSshd(const ProcessFacts& process) {
  const std::string_view name =
      process.exe.empty() ? std::string_view(process.comm) : BaseName(process.exe);
  return name == "sshd" || name == "sshd-session";
}

bool InOddPlace(const std::string& exe) {
  constexpr std::array<std::string_view, 5> kPlaces = {"/tmp/", "/var/tmp/", "/dev/shm/",
                                                       "/run/user/", "/run/shm/"};
  const bool place = std::ranges::any_of(kPlaces, [&](auto p) { return exe.starts_with(p); });
  return place || exe.find("/.") != std::string::npos;
}

struct Way {
  std::uint64_t flows = 0, bytes = 0, peers = 0;
  std::string named;
};

// Destinations of one direction beyond this host; without questions to name servers.
Way WayOf(const TriageProcess& process, std::string_view direction) {
  Way way;
  for (const TriageDestination& to : process.destinations) {
    const auto remote = Endpoint::Parse(to.remote.substr(0, to.remote.find(' ')));
    if (to.direction != direction || !remote || remote->address.IsLoopback()) continue;
    if (remote->port == kDns) continue;
    way.flows += to.flows;
    way.bytes += direction == "out" ? to.tx_bytes : to.rx_bytes;
    if (++way.peers <= kNamed) way.named += (way.peers == 1 ? "" : ", ") + to.remote;
  }
  if (way.peers > kNamed) way.named += " and " + std::to_string(way.peers - kNamed) + " more";
  return way;
}

std::string Counted(std::uint64_t n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

class Judge {
 public:
  explicit Judge(TriageReport* report) : report_(report) {}

  void Process(const TriageProcess& process) {
    const Way out = WayOf(process, "out"), in = WayOf(process, "in");
    const ProcessFacts& facts = process.facts;
    const std::string sent = FormatByteSize(process.tx_bytes) + " sent and " +
                             FormatByteSize(process.rx_bytes) + " received";
    // Root's own login is served by the process that let him in.
    const bool serves = IsSshd(facts) && process.login && (facts.uid != Uid{0} || Serving(process));
    if (serves && out.flows > 0) {
      Add(process, TriageRank::kSshRelay, "ssh-relay",
          "sshd connects out for a login (a tunnel): " + Counted(out.flows, "connection") + " to " +
              out.named + ", " + sent);
    }
    const bool talks = out.flows + in.flows > 0 || !process.listens.empty();
    if (talks && facts.exe_memfd)
      Add(process, TriageRank::kMemoryProgram, "memory-program",
          "talks, and runs from memory without a file: " + Peers(out, in, process) + sent);
    else if (talks && facts.exe_deleted)
      Add(process, TriageRank::kDeletedProgram, "deleted-program",
          "talks, and its file " + facts.exe + " is deleted: " + Peers(out, in, process) + sent);
    else if (talks && InOddPlace(facts.exe))
      Add(process, TriageRank::kOddPlace, "odd-place",
          "talks, and runs from " + facts.exe + ": " + Peers(out, in, process) + sent);
    if (process.crafted_packets > 0)
      Add(process, TriageRank::kCrafted, "crafted-packets",
          Counted(process.crafted_packets, "packet") + " through raw or packet sockets");
    if (process.attempts >= kManyAttempts)
      Add(process, TriageRank::kManyAttempts, "many-attempts",
          Counted(process.attempts, "connection attempt") + ", " +
              std::to_string(process.failed_attempts) + " of them failed");
    if (!IsSshd(facts) && std::min(in.bytes, out.bytes) >= kPassedOn)
      Add(process, TriageRank::kPassesOn, "passes-on",
          "accepts from " + in.named + " and connects to " + out.named +
              ": what comes in may go on (a relay; a proxy or web server does the same), " + sent);
  }

  void SendsMost() {
    const auto most = std::ranges::max_element(
        report_->processes, [](const auto& a, const auto& b) { return a.tx_bytes < b.tx_bytes; });
    if (most == report_->processes.end() || most->tx_bytes == 0) return;
    std::uint64_t all = 0;
    for (const TriageProcess& process : report_->processes) all += process.tx_bytes;
    const Way out = WayOf(*most, "out"), in = WayOf(*most, "in");
    Add(*most, TriageRank::kSendsMost, "sends-most",
        "sends most: " + FormatByteSize(most->tx_bytes) + " of " + FormatByteSize(all) + " (" +
            FormatByteSize(most->tx_before) + " of it before the watch), " + Peers(out, in, *most) +
            "and received " + FormatByteSize(most->rx_bytes));
  }

 private:
  static bool Serving(const TriageProcess& process) {
    return process.login->session && process.login->session->serving == process.facts.id;
  }

  static std::string Peers(const Way& out, const Way& in, const TriageProcess& process) {
    std::string text;
    if (out.flows > 0) text += "to " + out.named + ", ";
    if (in.flows > 0) text += "with " + in.named + ", ";
    if (!process.listens.empty()) text += "listens at " + process.listens.front() + ", ";
    return text;
  }

  void Add(const TriageProcess& process, TriageRank rank, std::string kind, std::string text) {
    text = CommandOf(process.facts) + ": " + text;
    if (process.login) text += "; login of " + LoginText(*process.login);
    report_->facts.push_back(
        {rank, std::move(kind), process.facts.key.tgid.value(), std::move(text)});
  }

  TriageReport* report_;
};

}  // namespace

void JudgeProcesses(TriageReport* report) {
  Judge judge(report);
  for (const TriageProcess& process : report->processes) judge.Process(process);
  judge.SendsMost();
}

void JudgeKeys(TriageReport* report, std::int64_t recent_ns) {
  for (const TriageKey& key : report->keys) {
    const std::string who = (key.user.empty() ? "any user" : key.user) + ", " + key.type + " " +
                            key.fingerprint + " " + key.comment + " in " + key.place;
    if (key.locked)
      report->facts.push_back({TriageRank::kLockedKeys, "locked-key", 0,
                               "a key in a file that is locked (+i, +a): " + who});
    if (key.changed_ns != 0 && key.changed_ns > report->ended_ns - recent_ns)
      report->facts.push_back(
          {TriageRank::kNewKeys, "new-key", 0,
           "its file changed " + FormatUtc(WallTimeFromNs(key.changed_ns)) + ": " + who});
  }
}

void SortFacts(TriageReport* report) {
  std::ranges::stable_sort(
      report->facts, [](const TriageFact& a, const TriageFact& b) { return a.rank < b.rank; });
}

std::string TriageVerdict(const TriageReport& report) {
  const auto telling = std::ranges::count_if(
      report.facts, [](const TriageFact& fact) { return fact.rank < TriageRank::kSendsMost; });
  if (report.facts.empty()) return "nothing stands out in what could be looked at";
  const TriageFact& first = report.facts.front();
  const std::string who = first.pid == 0 ? "" : "pid " + std::to_string(first.pid) + ", ";
  if (telling == 0) return "nothing stands out; " + who + first.text;
  return std::to_string(telling) + (telling == 1 ? " thing stands" : " things stand") +
         " out, first of all: " + who + first.text;
}

}  // namespace culprit
