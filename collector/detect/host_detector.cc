// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/host_detector.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collector/detect/detectors.h"
#include "collector/detect/rules.h"
#include "collector/model/batch_decoder.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxFlows = 65'536, kMaxGroups = 4096, kMaxContacts = 65'536;
constexpr std::size_t kMaxCounters = 65'536, kMaxEpisodes = 4096;
constexpr int kMaxTargets = 16, kMaxFlowIds = 32;
constexpr std::size_t kMaxSshPorts = 64;
constexpr auto kUpdateInterval = std::chrono::seconds(10);
constexpr auto kEpisodeGap =
    std::chrono::hours(1);  // after so long a silence it is another episode
constexpr auto kFreshFor = std::chrono::minutes(60);
constexpr auto kNoAnswer = std::chrono::milliseconds(900);  // rows come after a second
constexpr auto kClockAhead = std::chrono::hours(1);
constexpr std::uint64_t kJoined = 10'000'000'000;  // ns

std::uint64_t Added(std::uint64_t now, std::uint64_t before) {
  return now > before ? now - before : 0;
}

std::string HexOf(std::uint64_t id) { return fmt::format("{:016x}", id); }

bool HasEnded(v1::FlowState state) {
  switch (state) {
    case v1::FLOW_STATE_CLOSED:
    case v1::FLOW_STATE_FAILED:
    case v1::FLOW_STATE_ABORTED:
    case v1::FLOW_STATE_NOT_SENT:
    case v1::FLOW_STATE_HANDED_OVER:
      return true;
    default:
      return false;
  }
}

v1::ProcessCounters CountersAdded(const v1::ProcessCounters& now,
                                  const v1::ProcessCounters& before) {
  v1::ProcessCounters added;
  added.set_process_id(now.process_id());
  added.set_tcp_attempts(Added(now.tcp_attempts(), before.tcp_attempts()));
  added.set_ok(Added(now.ok(), before.ok()));
  added.set_tx_packets(Added(now.tx_packets(), before.tx_packets()));
  added.set_rx_packets(Added(now.rx_packets(), before.rx_packets()));
  added.set_first_contacts(Added(now.first_contacts(), before.first_contacts()));
  added.set_first_contacts_ok(Added(now.first_contacts_ok(), before.first_contacts_ok()));
  added.set_raw_packets(Added(now.raw_packets(), before.raw_packets()));
  added.set_link_packets(Added(now.link_packets(), before.link_packets()));
  added.set_bare_syns(Added(now.bare_syns(), before.bare_syns()));
  return added;
}

}  // namespace

Alarm MakeAlarm(const char* rule, v1::Severity severity, ProcessId process) {
  Alarm alarm;
  alarm.rule = rule;
  alarm.severity = severity;
  alarm.process = process;
  return alarm;
}

v1::Measure MakeMeasure(const char* name, double value, double threshold, const char* unit) {
  v1::Measure measure;
  measure.set_name(name);
  measure.set_value(value);
  measure.set_threshold(threshold);
  measure.set_unit(unit);
  return measure;
}

v1::Target MakeTarget(const Endpoint& to, std::uint64_t tx_bytes, std::uint64_t rx_bytes) {
  v1::Target target;
  target.set_address(to.address.ToString());
  target.set_port(to.port);
  target.set_tx_bytes(tx_bytes);
  target.set_rx_bytes(rx_bytes);
  return target;
}

void HostDetector::Take(const DecodedFrame& frame) {
  frame_ = &frame;
  for (const v1::Process& process : frame.processes) {
    processes_.Take(process);
    group_of_.erase(process.process_id());
  }
  for (const v1::DnsQuestion& question : frame.dns) TakeDns(question);
  for (const FlowObservation& flow : frame.flows) TakeFlow(flow);
  // Names refer to flows; what they say was asked is met by the flows of later frames.
  for (const v1::FlowName& name : frame.names) TakeName(name);
  for (const v1::ProcessCounters& counters : frame.counters) TakeCounters(counters);
  TakeSessions();
  Forget();
  frame_ = nullptr;
}

// A host that sets its clock into the future does not stop its own windows for good.
WallTime HostDetector::Clamped(WallTime at) const {
  return std::clamp(at, WallTime{}, frame_->stamp.received + kClockAhead);
}

// Logins are known a little later than what is done in them.
void HostDetector::TakeSessions() {
  if (frame_->sessions.empty() && frame_->logins.empty()) return;
  for (const v1::Session& session : frame_->sessions) sessions_.Take(session);
  for (const v1::Login& login : frame_->logins) sessions_.Take(login);
  for (auto& [key, episode] : episodes_) {
    v1::Finding& finding = episode.finding;
    const auto session = sessions_.SessionOf(episode.process, processes_);
    if (!session || session->SerializeAsString() == finding.session().SerializeAsString()) continue;
    *finding.mutable_session() = *session;
    finding.set_last_lsn(std::max(finding.last_lsn(), frame_->lsn));
    Tell(&episode);
  }
}

void HostDetector::Tell(Episode* episode) {
  v1::Finding& finding = episode->finding;
  finding.set_reason(episode->reason);
  if (finding.has_session()) {
    finding.set_reason(episode->reason + "; in " + SessionText(finding.session()));
  }
  sink_(finding);
}

FlowEvent HostDetector::Difference(const FlowObservation& seen, bool first,
                                   FlowState* state) const {
  const FlowCounters& now = seen.cumulative;
  FlowCounters& total = state->total;
  const FlowCounters added = {Added(now.tx_wire_bytes, total.tx_wire_bytes),
                              Added(now.rx_wire_bytes, total.rx_wire_bytes),
                              Added(now.tx_payload_bytes, total.tx_payload_bytes),
                              Added(now.rx_payload_bytes, total.rx_payload_bytes),
                              Added(now.tx_packets, total.tx_packets),
                              Added(now.rx_packets, total.rx_packets),
                              Added(now.tx_skb_bytes, total.tx_skb_bytes),
                              Added(now.rx_skb_bytes, total.rx_skb_bytes),
                              Added(now.retransmitted_bytes, total.retransmitted_bytes)};
  if (now.tx_wire_bytes + now.rx_wire_bytes >= total.tx_wire_bytes + total.rx_wire_bytes)
    total = now;
  const WallTime at =
      Clamped(BootToWall(frame_->clock, std::max(seen.emitted_boot_ns, seen.start_boot_ns)));
  const bool ended = HasEnded(seen.facts.state);
  const bool answered = total.rx_packets > 0;
  FlowEvent event{state->facts,           total,    added, at,    first,
                  ended && !state->ended, answered, false, false, frame_->lsn};
  // Answered, over, or out of time: then it is clear what came of it.
  const bool decided = answered || ended || at - state->facts.start >= kNoAnswer;
  event.decided = decided && !state->decided;
  event.late = state->decided && !state->answered && answered;
  state->answered = answered;
  state->ended = state->ended || ended;
  state->decided = state->decided || decided;
  return event;
}

void HostDetector::TakeFlow(const FlowObservation& seen) {
  if ((seen.facts.flags & v1::FLOW_FLAG_AGENT) != 0 ||
      seen.facts.direction == v1::FLOW_DIRECTION_LISTEN)
    return;
  const auto [it, first] =
      flows_.try_emplace(FlowKey{seen.facts.flow.value(), seen.facts.process.value()});
  FlowState& state = it->second;
  state.used = ++clock_;
  const v1::FlowState before = state.facts.state;
  state.facts = seen.facts;
  if (!first && state.ended) state.facts.state = before;  // a late row does not open it again
  state.facts.start = Clamped(state.facts.start);
  state.facts.last = Clamped(state.facts.last);
  const FlowEvent event = Difference(seen, first, &state);
  Group& group = GroupOf(seen.facts.process);
  group.last = std::max(group.last, event.at);
  NoteSshPort(event);
  WatchScan(event, thresholds_.scan, group, *this);
  WatchFlood(event, group);
  WatchBruteForce(event, thresholds_.brute_force, group, *this);
  WatchRelay(event, thresholds_.relay, group, *this);
  WatchEgress(event, thresholds_.egress, group, *this);
  WatchMining(event, thresholds_.mining, group, *this);
  WatchBeacon(event, thresholds_.beacon, group, *this);
  WatchSpam(event, thresholds_.spam, group, *this);
  WatchReflector(event, thresholds_.reflector, group, *this);
  NoteContact(event);
}

// What the sshd that takes logins accepts; the sshd of a login has other listeners.
void HostDetector::NoteSshPort(const FlowEvent& flow) {
  if (!flow.inbound() || !flow.first || ssh_ports_.size() >= kMaxSshPorts) return;
  if (!processes_.TraitsOf(flow.facts.process).is_sshd) return;
  if (!processes_.IsLoginSshd(flow.facts.process)) ssh_ports_.insert(flow.facts.local_port);
}

void HostDetector::TakeCounters(const v1::ProcessCounters& counters) {
  const v1::Process* process = processes_.Find(ProcessId{counters.process_id()});
  if (process != nullptr && process->is_agent()) return;
  const auto [it, fresh] = counters_.try_emplace(counters.process_id(), counters);
  v1::ProcessCounters& before = it->second;
  if (fresh) {
    before.Clear();
    // Who joins in the middle does not take what a process did in a week for what it did in a
    // second.
    if (process != nullptr && process->start_boot_ns() + kJoined < counters.at_boot_ns()) {
      before = counters;
      return;
    }
  }
  if (!fresh && counters.at_boot_ns() <= before.at_boot_ns())
    return;  // repeated, or late: what it counts is in the newer one
  ActivityEvent event;
  event.process = ProcessId{counters.process_id()};
  event.added = CountersAdded(counters, before);
  event.window_addresses = counters.window_addresses();
  event.window_ports = counters.window_ports();
  const double gap = static_cast<double>(Added(counters.at_boot_ns(), before.at_boot_ns())) / 1e9;
  event.seconds = before.at_boot_ns() == 0 || gap <= 0 ? 1 : std::max(gap, 0.1);
  event.at = Clamped(BootToWall(frame_->clock, counters.at_boot_ns()));
  event.lsn = frame_->lsn;
  before = counters;
  Group& group = GroupOf(event.process);
  group.last = std::max(group.last, event.at);
  WatchScan(event, thresholds_.scan, group, *this);
  WatchFlood(event, thresholds_.flood, group, *this);
}

void HostDetector::TakeName(const v1::FlowName& name) {
  const NameEvent event{name, Clamped(BootToWall(frame_->clock, name.at_boot_ns())), frame_->lsn};
  const auto it = flows_.find(FlowKey{name.flow_id(), name.process_id()});
  const FlowFacts* flow = it == flows_.end() ? nullptr : &it->second.facts;
  Group& group = GroupOf(ProcessId{name.process_id()});
  const bool asks =
      name.source() == v1::NAME_SOURCE_SOCKS || name.source() == v1::NAME_SOURCE_HTTP_CONNECT;
  if (flow != nullptr && flow->direction == v1::FLOW_DIRECTION_OUTBOUND && !asks) {
    if (const auto contact = contacts_.find(flow->remote); contact != contacts_.end()) {
      contact->second.name = name.name();
    }
  }
  WatchRelay(event, flow, group);
  WatchMining(event, flow, thresholds_.mining, group, *this);
}

void HostDetector::TakeDns(const v1::DnsQuestion& question) {
  const DnsEvent event{question, Clamped(BootToWall(frame_->clock, question.at_boot_ns())),
                       frame_->lsn};
  WatchDnsTunnel(event, thresholds_.dns_tunnel, GroupOf(ProcessId{question.process_id()}), *this);
}

void HostDetector::NoteContact(const FlowEvent& flow) {
  if (!flow.outbound()) return;
  const auto [it, fresh] =
      contacts_.try_emplace(flow.facts.remote, Contact{flow.facts.start, flow.at, ""});
  if (!fresh) it->second.last = std::max(it->second.last, flow.at);
}

bool HostDetector::IsOldDestination(const IpAddress& address, WallTime at) const {
  const auto it = contacts_.find(address);
  return it != contacts_.end() && it->second.first + kFreshFor < at;
}

std::string HostDetector::NameOf(const IpAddress& address) const {
  const auto it = contacts_.find(address);
  return it == contacts_.end() ? "" : it->second.name;
}

Group& HostDetector::GroupOf(ProcessId process) {
  auto [it, fresh] = group_of_.try_emplace(process.value());
  if (fresh) it->second = processes_.GroupOf(process);
  Group& group = groups_[it->second];
  if (group.key.empty()) group.key = it->second;
  return group;
}

// What an address, a path or a parent says beside the behaviour itself.
void HostDetector::Weigh(const Alarm& alarm, v1::Finding* finding) const {
  const ProcessTraits traits = processes_.TraitsOf(alarm.process);
  int raise = 0;
  const auto add = [&](bool holds, const char* text, int weight) {
    if (!holds) return;
    finding->add_weights(text);
    raise += weight;
  };
  add(traits.memory_only, "its executable is in memory only", 1);
  add(traits.deleted && !traits.memory_only, "its executable is deleted", 1);
  add(traits.odd_path, "its executable lies where anybody may write", 1);
  if (!traits.under.empty()) {
    finding->add_weights("started under " + traits.under);
    if (traits.under == "a web server") ++raise;
  }
  if (const auto session = sessions_.SessionOf(alarm.process, processes_)) {
    *finding->mutable_session() = *session;
    const auto from = IpAddress::Parse(session->address());
    const bool by_password = session->method().starts_with("password") ||
                             session->method().starts_with("keyboard-interactive");
    add(by_password && from && from->IsPublic(),
        "its session was opened with a password from a public address", 1);
    add(session->failures_before() > 0,
        "there were failed logins from the same address before the session", 1);
  }
  const int severity = std::min(static_cast<int>(alarm.severity) + std::min(raise, 1),
                                static_cast<int>(v1::SEVERITY_CRITICAL));
  finding->set_severity(static_cast<v1::Severity>(severity));
}

void HostDetector::Raise(Group& group, Alarm alarm) {
  const std::pair<std::string, std::string> key(alarm.rule, group.key);
  auto it = episodes_.find(key);
  if (it != episodes_.end() &&
      WallTimeFromNs(it->second.finding.last_ns()) + kEpisodeGap < alarm.at) {
    episodes_.erase(it);
    it = episodes_.end();
  }
  const bool fresh = it == episodes_.end();
  if (fresh) it = episodes_.emplace(key, Episode{}).first;
  Episode& episode = it->second;
  v1::Finding next;
  next.set_rule(alarm.rule);
  next.set_rule_version(RuleOf(alarm.rule).version);
  for (const char* id : RuleOf(alarm.rule).attack_ids) {
    if (id != nullptr) next.add_attack_ids(id);
  }
  next.set_confidence(alarm.confidence);
  next.set_process_id(HexOf(alarm.process.value()));
  next.set_subject(group.key);
  Weigh(alarm, &next);
  if (const v1::Process* process = processes_.Find(alarm.process); process != nullptr) {
    next.set_pid(process->tgid());
    next.set_exe(process->exe());
    next.set_command_line(CommandLineOf(*process));
    next.set_user(process->user());
  }
  for (std::string& line : processes_.AncestryOf(alarm.process)) next.add_ancestry(std::move(line));
  for (v1::Measure& measure : alarm.measures) *next.add_measures() = std::move(measure);
  for (v1::Target& target : alarm.targets) {
    if (next.targets_size() < kMaxTargets) *next.add_targets() = std::move(target);
  }
  for (const std::string& flow : episode.finding.flow_ids()) next.add_flow_ids(flow);
  for (const FlowId flow : alarm.flows) {
    const std::string id = HexOf(flow.value());
    const auto& ids = next.flow_ids();
    if (next.flow_ids_size() < kMaxFlowIds && std::find(ids.begin(), ids.end(), id) == ids.end()) {
      next.add_flow_ids(id);
    }
  }
  const v1::Finding& before = episode.finding;
  next.set_first_ns(fresh ? ToNs(std::min(alarm.first, alarm.at)) : before.first_ns());
  next.set_trigger_ns(fresh ? ToNs(alarm.at) : before.trigger_ns());
  next.set_trigger_lsn(fresh ? alarm.lsn : before.trigger_lsn());
  next.set_last_ns(std::max(before.last_ns(), ToNs(alarm.at)));
  next.set_last_lsn(std::max(before.last_lsn(), alarm.lsn));
  if (!fresh) next.set_severity(std::max(next.severity(), before.severity()));
  const bool worse = next.severity() > before.severity() || next.confidence() > before.confidence();
  episode.finding = std::move(next);
  episode.process = alarm.process;
  episode.reason = alarm.reason;
  if (!fresh && !worse && alarm.at < episode.told + kUpdateInterval) return;
  episode.told = alarm.at;
  Tell(&episode);
}

bool HostDetector::IsDue(const Group& group, const char* rule, WallTime at) const {
  const auto it = episodes_.find({rule, group.key});
  return it == episodes_.end() || it->second.told + kUpdateInterval <= at;
}

// Each table in one sweep when it is full, down to a half: the longest unused go.
void HostDetector::Forget() {
  if (flows_.size() > kMaxFlows) {
    const std::uint64_t limit = clock_ - kMaxFlows / 2;
    std::erase_if(flows_,
                  [limit](const auto& one) { return one.second.used < limit || one.second.ended; });
  }
  if (counters_.size() > kMaxCounters) counters_.clear();
  if (group_of_.size() > kMaxCounters) group_of_.clear();
  if (contacts_.size() > kMaxContacts) {
    WallTime newest;
    for (const auto& [address, contact] : contacts_) newest = std::max(newest, contact.last);
    std::erase_if(contacts_, [&](const auto& one) { return one.second.last + kFreshFor < newest; });
    if (contacts_.size() > kMaxContacts) contacts_.clear();
  }
  if (groups_.size() > kMaxGroups) {
    WallTime newest;
    for (const auto& [key, group] : groups_) newest = std::max(newest, group.last);
    std::erase_if(groups_, [&](const auto& one) {
      return one.second.last + std::chrono::minutes(1) < newest;
    });
    if (groups_.size() > kMaxGroups) groups_.clear();
  }
  if (episodes_.size() > kMaxEpisodes) {
    const auto oldest =
        std::min_element(episodes_.begin(), episodes_.end(), [](const auto& a, const auto& b) {
          return a.second.finding.last_ns() < b.second.finding.last_ns();
        });
    episodes_.erase(oldest);
  }
}

}  // namespace culprit
