// SPDX-License-Identifier: Apache-2.0
// The page for a person. Everything that the host says is escaped.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "agent/triage/triage_report.h"
#include "common/hex.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::size_t kShownProcesses = 15, kShownDestinations = 8, kShownLogins = 30;
constexpr std::size_t kShownFacts = 40, kShownKeys = 40;

std::string Utc(std::int64_t ns) { return ns == 0 ? "-" : FormatUtc(WallTimeFromNs(ns)); }

void Line(std::string_view title, const std::string& text, std::string* out) {
  *out += fmt::format("    {:<10}{}\n", title, EscapeText(text));
}

void More(std::size_t all, std::size_t shown, const char* what, std::string* out) {
  if (all > shown) *out += fmt::format("  and {} more {}; --json has them\n", all - shown, what);
}

std::string State(const ProcessFacts& process) {
  std::string state;
  if (process.exe_memfd) state += ", runs from memory";
  if (process.exe_deleted && !process.exe_memfd) state += ", file deleted";
  if (process.preexisting) state += ", older than the watch";
  return state;
}

std::string LinksText(const TriageLogin& login) {
  std::string text;
  if (!login.session) return text;
  constexpr std::string_view kKinds[] = {"?", "connection", "process", "audit session"};
  constexpr std::string_view kSure[] = {"?", "low", "medium", "high"};
  for (const SessionLinkFacts& link : login.session->links)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ",
                        kKinds[std::min<std::size_t>(static_cast<std::size_t>(link.kind), 3)],
                        kSure[std::min<std::size_t>(static_cast<std::size_t>(link.confidence), 3)]);
  return text;
}

void LoginLines(const TriageLogin& login, std::string* out) {
  Line("login", LoginText(login), out);
  std::string when = Utc(login.at_ns);
  if (login.session && login.session->audit_session != kNoSession)
    when += fmt::format(", audit session {}", login.session->audit_session);
  if (login.ended) when += ", over";
  if (login.login.failures_before > 0)
    when += fmt::format(", after {} failed attempts from there", login.login.failures_before);
  Line("", when, out);
  const std::string links = LinksText(login);
  Line("", "known by " + login.by + (links.empty() ? "" : "; sure of: " + links), out);
}

std::string DestinationText(const TriageDestination& to) {
  std::string text = fmt::format("{:<4}{} {}  {} sent, {} received, {} connection{}", to.direction,
                                 to.protocol, to.remote, FormatByteSize(to.tx_bytes),
                                 FormatByteSize(to.rx_bytes), to.flows, to.flows == 1 ? "" : "s");
  if (to.open > 0) text += fmt::format(", {} open", to.open);
  if (to.older > 0) text += fmt::format(", {} older than the watch", to.older);
  if (to.failed > 0) text += fmt::format(", {} failed", to.failed);
  return text + ", since " + Utc(to.first_ns);
}

void ProcessLines(const TriageProcess& process, std::string* out) {
  const ProcessFacts& facts = process.facts;
  *out += fmt::format("  pid {}  {}{}\n", facts.key.tgid.value(), EscapeText(CommandOf(facts)),
                      process.ended ? "  (ended)" : "");
  Line("file", (facts.exe.empty() ? "unknown" : facts.exe) + State(facts), out);
  if (facts.exe_sha256) Line("sha256", HexEncode(AsBytes(*facts.exe_sha256)), out);
  std::string user = facts.user.empty() ? std::to_string(facts.uid.value()) : facts.user;
  if (!facts.login_user.empty() && facts.login_user != user)
    user += ", logged in as " + facts.login_user;
  if (!facts.container_id.empty()) user += ", container " + facts.container_id.substr(0, 12);
  Line("user", user, out);
  std::string parents;
  for (const std::string& parent : process.ancestry)
    parents += (parents.empty() ? "" : "  <  ") + parent;
  if (!parents.empty()) Line("parents", parents, out);
  if (process.login) LoginLines(*process.login, out);
  Line("sent",
       fmt::format("{}, received {}; of that before the watch: {} and {}",
                   FormatByteSize(process.tx_bytes), FormatByteSize(process.rx_bytes),
                   FormatByteSize(process.tx_before), FormatByteSize(process.rx_before)),
       out);
  for (std::size_t i = 0; i < std::min(process.destinations.size(), kShownDestinations); ++i)
    Line("", DestinationText(process.destinations[i]), out);
  const std::size_t rest = process.destinations.size() + process.more_destinations;
  if (rest > kShownDestinations)
    Line("", fmt::format("and {} more destinations", rest - kShownDestinations), out);
  std::string listens;
  for (const std::string& at : process.listens) listens += (listens.empty() ? "" : ", ") + at;
  if (!listens.empty()) Line("listens", listens, out);
  if (process.attempts > 0)
    Line("attempts", fmt::format("{}, {} failed", process.attempts, process.failed_attempts), out);
}

void FactLines(const TriageReport& report, std::string* out) {
  *out += "\nWhat stands out\n";
  for (std::size_t i = 0; i < std::min(report.facts.size(), kShownFacts); ++i) {
    const TriageFact& fact = report.facts[i];
    const std::string pid = fact.pid == 0 ? "" : fmt::format("pid {}, ", fact.pid);
    *out += fmt::format("  {:<20}{}{}\n", fact.kind, pid, EscapeText(fact.text));
  }
  if (report.facts.empty()) *out += "  nothing\n";
  More(report.facts.size(), kShownFacts, "facts", out);
}

void TrafficLines(const TriageReport& report, std::string* out) {
  if (!report.watched) return;
  *out += "\nWho talks to whom, by bytes sent beyond this host since each connection began\n";
  for (std::size_t i = 0; i < std::min(report.processes.size(), kShownProcesses); ++i)
    ProcessLines(report.processes[i], out);
  if (report.processes.empty()) *out += "  nobody\n";
  More(report.processes.size() + report.more_processes, kShownProcesses, "processes", out);
}

void LoginsLines(const TriageReport& report, std::string* out) {
  *out += "\nLogins, newest first\n";
  for (std::size_t i = 0; i < std::min(report.logins.size(), kShownLogins); ++i) {
    const TriageLogin& login = report.logins[i];
    *out += fmt::format(
        "  {}  {}{}\n", Utc(login.at_ns), EscapeText(LoginText(login)),
        login.ended || (report.watched && login.session && login.session->root == ProcessId{})
            ? ", over"
            : "");
  }
  if (report.logins.empty()) *out += "  none that a log or the kernel tells about\n";
  More(report.logins.size(), kShownLogins, "logins", out);
  if (report.failed_attempts == 0) return;
  *out += fmt::format("  {} failed attempts", report.failed_attempts);
  for (std::size_t i = 0; i < std::min<std::size_t>(report.failures.size(), 5); ++i) {
    const TriageFailures& row = report.failures[i];
    *out += fmt::format("{} {} from {} as \"{}\"", i == 0 ? ":" : ",", row.count,
                        EscapeText(row.address), EscapeText(row.user));
  }
  *out += "\n";
}

void KeyLines(const TriageReport& report, std::string* out) {
  *out += "\nKeys that open accounts\n";
  for (std::size_t i = 0; i < std::min(report.keys.size(), kShownKeys); ++i) {
    const TriageKey& key = report.keys[i];
    *out += fmt::format("  {:<12} {} {}  {}\n", EscapeText(key.user.empty() ? "(any)" : key.user),
                        key.type, key.fingerprint, EscapeText(key.comment));
    *out +=
        fmt::format("  {:<12} {}, changed {}{}{}\n", "", EscapeText(key.place), Utc(key.changed_ns),
                    key.locked ? ", locked" : "", key.accepted ? "" : ", not accepted by sshd");
  }
  if (report.keys.empty()) *out += "  none\n";
  More(report.keys.size(), kShownKeys, "keys", out);
}

}  // namespace

std::string TriageText(const TriageReport& report) {
  std::string out = "Triage of " + EscapeText(report.root.empty() ? "" : "the disk at ") +
                    EscapeText(report.root.empty() ? report.host : report.root);
  if (!report.root.empty() && !report.host.empty()) out += " (" + EscapeText(report.host) + ")";
  if (!report.instance.empty()) out += ", " + EscapeText(report.instance);
  if (report.watched)
    out += fmt::format(", watched from {} for {}", Utc(report.began_ns),
                       FormatDuration(std::chrono::nanoseconds(report.ended_ns - report.began_ns)));
  out += "\n";
  if (!report.os.empty()) out += EscapeText(report.os + ", Linux " + report.kernel) + "\n";
  out += "\nVerdict: " + EscapeText(TriageVerdict(report)) + "\n";
  FactLines(report, &out);
  TrafficLines(report, &out);
  LoginsLines(report, &out);
  KeyLines(report, &out);
  if (!report.gaps.empty()) out += "\nNot seen\n";
  for (const std::string& gap : report.gaps) out += "  " + EscapeText(gap) + "\n";
  if (report.bundle_sha256.empty()) return out;
  out += fmt::format("\nBundle     {}, {}\nsha256     {}\nsigned by  {}\n",
                     EscapeText(report.bundle.empty() ? "standard output" : report.bundle),
                     FormatByteSize(report.bundle_bytes), report.bundle_sha256, report.bundle_key);
  return out +
         "Write hash and fingerprint down elsewhere: the key was made for this bundle alone, and "
         "is gone.\n";
}

}  // namespace culprit
