// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>

#include "collector/detect/detectors.h"

namespace culprit {
namespace {

constexpr auto kWindow = std::chrono::seconds(60);
constexpr std::size_t kMaxTargets = 16;
constexpr std::size_t kMaxTries = 256;

struct LoginService {
  std::uint16_t port;
  const char* name;
  // Programs log in there all day, and many keep no connection: short ones are no sign by
  // themselves.
  bool of_programs = false;
};
constexpr std::array<LoginService, 26> kServices = {{
    {21, "FTP"},
    {22, "SSH"},
    {23, "Telnet"},
    {25, "SMTP", true},
    {110, "POP3"},
    {139, "SMB"},
    {143, "IMAP"},
    {389, "LDAP", true},
    {445, "SMB"},
    {465, "SMTP", true},
    {587, "SMTP", true},
    {993, "IMAP"},
    {995, "POP3"},
    {1433, "SQL Server", true},
    {1521, "Oracle", true},
    {2222, "SSH"},
    {2323, "Telnet"},
    {3306, "MySQL", true},
    {3389, "RDP"},
    {5060, "SIP", true},
    {5432, "PostgreSQL", true},
    {5900, "VNC"},
    {5985, "WinRM"},
    {5986, "WinRM"},
    {6379, "Redis", true},
    {27017, "MongoDB", true},
}};

const LoginService* ServiceOf(std::uint16_t port) {
  const auto it = std::find_if(kServices.begin(), kServices.end(),
                               [port](const LoginService& s) { return s.port == port; });
  return it == kServices.end() ? nullptr : &*it;
}

// A connection that was answered, was short and carried little: a guess that failed. What carried
// nothing is a scan's.
bool IsGuess(const FlowEvent& flow, std::uint64_t most, const BruteForceThresholds& t) {
  const std::uint64_t bytes = flow.total.tx_payload_bytes + flow.total.rx_payload_bytes;
  return flow.answered && flow.total.tx_payload_bytes > 0 && flow.total.rx_payload_bytes > 0 &&
         bytes <= most && flow.facts.last - flow.facts.start <= std::chrono::seconds(t.seconds);
}

std::size_t WithinWindow(const Guessing& guessing, WallTime at) {
  return static_cast<std::size_t>(
      std::count_if(guessing.tries.begin(), guessing.tries.end(),
                    [at](WallTime tried) { return tried + kWindow >= at; }));
}

}  // namespace

void WatchBruteForce(const FlowEvent& flow, const BruteForceThresholds& t, Group& group,
                     DetectContext& out) {
  if (!flow.outbound() || flow.facts.protocol != IPPROTO_TCP || !flow.ended) return;
  const LoginService* service = ServiceOf(flow.facts.remote_port);
  if (service == nullptr) return;
  const bool ssh = std::string_view(service->name) == "SSH";
  if (!IsGuess(flow, ssh ? t.ssh_bytes : t.bytes, t)) return;
  BruteForceState& state = Need(group.brute_force);
  Guessing& guessing = state.targets.Touch(flow.remote(), flow.at);
  guessing.tries.push_back(flow.facts.start);
  guessing.flows.push_back(flow.facts.flow);
  if (guessing.tries.size() > kMaxTries) {
    guessing.tries.pop_front();
    guessing.flows.pop_front();
  }
  const std::size_t here = WithinWindow(guessing, flow.facts.start);
  std::size_t targets = 0, tries = 0;
  WallTime first = flow.facts.start;
  Alarm alarm = MakeAlarm("brute-force", v1::SEVERITY_HIGH, flow.facts.process);
  state.targets.ForEach(flow.at, [&](const Endpoint& to, const Guessing& other) {
    if (to.port != flow.facts.remote_port) return;
    const std::size_t recent = WithinWindow(other, flow.facts.start);
    if (recent == 0) return;
    ++targets;
    tries += recent;
    first = std::min(first, other.tries.front());
    if (alarm.targets.size() < kMaxTargets) alarm.targets.push_back(MakeTarget(to));
  });
  const std::uint32_t needed = ssh ? t.ssh_connections : t.connections;
  if (here < needed && targets < t.targets) return;
  if (service->of_programs) {
    // A service of the host's asks its own database; it has no business at many of other people.
    const bool driven = out.processes().TraitsOf(flow.facts.process).driven();
    if (!driven && (targets < t.targets || !flow.facts.remote.IsPublic())) return;
    alarm.severity = v1::SEVERITY_MEDIUM;
  }
  alarm.confidence = here >= 2 * std::size_t{needed} ? v1::CONFIDENCE_HIGH : v1::CONFIDENCE_MEDIUM;
  alarm.first = first;
  alarm.at = flow.at;
  alarm.lsn = flow.lsn;
  alarm.reason = fmt::format(
      "{} short {} connections to {} within a minute, as guesses of a password are", tries,
      service->name, targets == 1 ? "one server" : fmt::format("{} servers", targets));
  alarm.measures = {
      MakeMeasure("connections to one server within a minute", static_cast<double>(here), needed),
      MakeMeasure("servers within a minute", static_cast<double>(targets), t.targets)};
  alarm.flows.assign(guessing.flows.end() - static_cast<std::ptrdiff_t>(
                                                std::min<std::size_t>(guessing.flows.size(), 16)),
                     guessing.flows.end());
  out.Raise(group, std::move(alarm));
}

}  // namespace culprit
