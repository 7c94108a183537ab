// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/host_detector.h"

#include <netinet/in.h>

#include <algorithm>

#include "collector/detect/detectors.h"
#include "collector/model/batch_decoder.h"
#include "common/service_port.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxFlows = 65'536, kMaxGroups = 4096, kMaxContacts = 65'536;
constexpr std::size_t kMaxCounters = 65'536;
constexpr const char* kHostGroup = "the host";
constexpr std::size_t kMaxSshPorts = 64;
constexpr auto kFreshFor = std::chrono::minutes(60);
constexpr auto kNoAnswer = std::chrono::milliseconds(900);  // rows come after a second
constexpr auto kClockAhead = std::chrono::hours(1);
constexpr std::uint64_t kJoined = 10'000'000'000;  // ns

std::uint64_t Added(std::uint64_t now, std::uint64_t before) {
  return now > before ? now - before : 0;
}

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

// Through a raw or a packet socket.
bool MakesPackets(const FlowFacts& facts) {
  return (facts.flags & (v1::FLOW_FLAG_RAW | v1::FLOW_FLAG_LINK)) != 0;
}

// Who sends data on a connection has got an answer, whether or not whoever saw it saw both ways.
// What makes its own packets connects to nobody.
bool IsAnswered(const FlowFacts& facts, const FlowCounters& total) {
  if (total.rx_packets > 0) return true;
  const bool stands = facts.state == v1::FLOW_STATE_OPEN || facts.state == v1::FLOW_STATE_CLOSED;
  return facts.protocol == IPPROTO_TCP && stands && total.tx_payload_bytes > 0 &&
         !MakesPackets(facts);
}

// Of what is older than the agent, the packet that came first says nothing of who began: ports do.
bool WasServedBefore(const FlowFacts& facts) {
  return (facts.flags & v1::FLOW_FLAG_PREEXISTING) != 0 &&
         ServesByPorts(facts.local_port, facts.remote_port);
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
  added.set_suppressed_flows(Added(now.suppressed_flows(), before.suppressed_flows()));
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

HostDetector::HostDetector(const DetectThresholds& thresholds, Scene* scene, const Uuid& agent,
                           FindingSink sink)
    : thresholds_(thresholds),
      scene_(*scene),
      agent_(agent),
      episodes_({processes_, sessions_, scene_, agent_}, &ways_, std::move(sink)) {
  host_.key = kHostGroup;
}

void HostDetector::Take(const DecodedFrame& frame) {
  frame_ = &frame;
  if (!stored_.empty()) TakeUp();
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
  WatchBudget(
      {host_.last, frame.lsn, thresholds_.budget, scene_.tables().prices.get(), ways_, groups_},
      host_, *this);
  TellWaiting(std::max(host_.last, Clamped(frame.clock.wall)));
  Forget();
  frame_ = nullptr;
}

// A host that sets its clock into the future does not stop its own windows for good.
WallTime HostDetector::Clamped(WallTime at) const {
  return std::clamp(at, WallTime{}, frame_->stamp.received + kClockAhead);
}

void HostDetector::TakeSessions() {
  if (frame_->sessions.empty() && frame_->logins.empty()) return;
  for (const v1::Session& session : frame_->sessions) sessions_.Take(session);
  for (const v1::Login& login : frame_->logins) sessions_.Take(login);
  episodes_.SessionsMoved(frame_->lsn);
}

void HostDetector::Resume(const std::vector<v1::Finding>& stored) {
  stored_ = stored;
  std::sort(stored_.begin(), stored_.end(),
            [](const auto& a, const auto& b) { return a.last_lsn() > b.last_lsn(); });
  for (const v1::Finding& finding : stored_) episodes_.Hold(finding);
}

// What was told before a restart goes on from there.
void HostDetector::TakeUp() {
  while (!stored_.empty() && stored_.back().last_lsn() < frame_->lsn) {
    const v1::Finding finding = std::move(stored_.back());
    stored_.pop_back();
    Group& group = GroupNamed(finding.subject());
    if (finding.rule() == std::string_view("egress")) ResumeEgress(finding, &group);
    episodes_.Rejoin(finding, group);
  }
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
  const bool answered = state->answered || IsAnswered(seen.facts, total);
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

// A server may connect its UDP socket to who spoke first: the connection is its own, the question
// is not.
v1::FlowDirection HostDetector::DirectionOf(const FlowFacts& facts, WallTime at) {
  if (facts.protocol != IPPROTO_UDP) return facts.direction;
  const Endpoint remote{facts.remote, facts.remote_port};
  if (facts.direction == v1::FLOW_DIRECTION_INBOUND) {
    udp_clients_.Touch(remote, at) = facts.local_port;
  } else if (facts.direction == v1::FLOW_DIRECTION_OUTBOUND) {
    const std::uint16_t* port = udp_clients_.Find(remote);
    const bool client = port != nullptr && *port == facts.local_port;
    if (!client && !WasServedBefore(facts)) return facts.direction;
    udp_clients_.Touch(remote, at) = facts.local_port;
    return v1::FLOW_DIRECTION_INBOUND;
  }
  return facts.direction;
}

void HostDetector::TakeFlow(const FlowObservation& seen) {
  if ((seen.facts.flags & v1::FLOW_FLAG_AGENT) != 0) return;
  if (seen.facts.direction == v1::FLOW_DIRECTION_LISTEN) {
    NoteSshPort(seen.facts);
    return;
  }
  flow_ = FlowKey{seen.facts.flow.value(), seen.facts.process.value()};
  const auto [it, first] = flows_.try_emplace(flow_);
  FlowState& state = it->second;
  state.used = ++clock_;
  const v1::FlowState before = state.facts.state;
  state.facts = seen.facts;
  if (!first && state.ended) state.facts.state = before;  // a late row does not open it again
  state.facts.direction =
      DirectionOf(seen.facts, Clamped(BootToWall(frame_->clock, seen.emitted_boot_ns)));
  state.facts.start = Clamped(state.facts.start);
  state.facts.last = Clamped(state.facts.last);
  const FlowEvent event = Difference(seen, first, &state);
  Group& group = GroupAt(seen.facts.process, event.at);
  NoteContact(event);
  Charge(event, &state, &group);
  if (event.inbound() && event.first) NoteSshPort(event.facts);
  WatchScan(event, thresholds_.scan, group, *this);
  WatchFlood(event, group);
  WatchBruteForce(event, thresholds_.brute_force, group, *this);
  WatchRelay(event, thresholds_.relay, group, *this);
  WatchEgress(event, thresholds_.egress, group, *this);
  WatchMining(event, thresholds_.mining, group, *this);
  WatchBeacon(event, thresholds_.beacon, group, *this);
  WatchSpam(event, thresholds_.spam, group, *this);
  WatchReflector(event, thresholds_.reflector, group, *this);
}

// Bytes by the way they took, which the scene is asked for once a flow.
void HostDetector::Charge(const FlowEvent& flow, FlowState* state, Group* group) {
  if (MakesPackets(flow.facts)) group->makes_packets = true;
  if (flow.added.tx_wire_bytes + flow.added.rx_wire_bytes == 0) return;
  if (state->way_version != scene_.version()) {
    state->way = ways_.NumberOf(scene_.RouteTo(agent_, flow.facts.remote));
    state->way_version = scene_.version();
  }
  if (ways_.At(state->way).kind == RouteKind::kLocal) return;
  group->newest = flow.facts.process;
  for (Group* one : {group, &host_}) {
    Need(one->spend).Add(state->way, flow.at, flow.added.tx_wire_bytes, flow.added.rx_wire_bytes);
  }
}

// What the sshd that takes logins accepts; the sshd of a login has other listeners.
void HostDetector::NoteSshPort(const FlowFacts& facts) {
  if (facts.protocol != IPPROTO_TCP || ssh_ports_.size() >= kMaxSshPorts) return;
  if (!processes_.TraitsOf(facts.process).is_sshd) return;
  if (!processes_.IsLoginSshd(facts.process)) ssh_ports_.insert(facts.local_port);
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
  Group& group = GroupAt(event.process, event.at);
  if (event.added.raw_packets() + event.added.link_packets() > 0) group.makes_packets = true;
  WatchScan(event, thresholds_.scan, group, *this);
  WatchFlood(event, thresholds_.flood, group, *this);
}

void HostDetector::TakeName(const v1::FlowName& name) {
  const NameEvent event{name, Clamped(BootToWall(frame_->clock, name.at_boot_ns())), frame_->lsn};
  const auto it = flows_.find(FlowKey{name.flow_id(), name.process_id()});
  const FlowFacts* flow = it == flows_.end() ? nullptr : &it->second.facts;
  Group& group = GroupAt(ProcessId{name.process_id()}, event.at);
  // What a client asks a proxy for, and who logs in to a pool, are no names of the other end.
  const bool asks = name.source() == v1::NAME_SOURCE_SOCKS ||
                    name.source() == v1::NAME_SOURCE_HTTP_CONNECT ||
                    name.source() == v1::NAME_SOURCE_STRATUM;
  if (flow != nullptr && flow->direction == v1::FLOW_DIRECTION_OUTBOUND && !asks) {
    if (const auto contact = contacts_.find(flow->remote); contact != contacts_.end()) {
      contact->second.name = name.name();
    }
  }
  WatchRelay(event, flow, thresholds_.relay, group, *this);
  WatchMining(event, flow, thresholds_.mining, group, *this);
}

void HostDetector::TakeDns(const v1::DnsQuestion& question) {
  const DnsEvent event{question, Clamped(BootToWall(frame_->clock, question.at_boot_ns())),
                       frame_->lsn};
  const std::uint64_t name = std::hash<std::string>{}(question.name());
  for (const std::string& answer : question.answers()) {
    if (const auto address = IpAddress::Parse(answer)) resolved_.Touch(*address, event.at) = name;
  }
  WatchDnsTunnel(event, thresholds_.dns_tunnel, GroupAt(ProcessId{question.process_id()}, event.at),
                 *this);
}

void HostDetector::NoteContact(const FlowEvent& flow) {
  if (!flow.outbound()) return;
  const IpAddress& remote = flow.facts.remote;
  const auto [it, fresh] = contacts_.try_emplace(remote);
  Contact& contact = it->second;
  if (fresh) {
    contact.first = flow.facts.start;
    contact.known = WasKnown(remote, flow.at);
  }
  contact.last = std::max(contact.last, flow.at);
  if (!flow.answered || !remote.IsPublic()) return;
  if (contact.noted != WallTime{} && flow.at < contact.noted + kFreshFor) return;
  contact.noted = flow.at;
  Baseline& baseline = scene_.baseline();
  baseline.Note(agent_, SeenKind::kDestination, std::string(remote.AsBytes()), flow.at);
  if (const std::string region = scene_.RegionOf(remote); !region.empty()) {
    baseline.Note(agent_, SeenKind::kRegion, region, flow.at);
  }
}

// Before this boot, or to the siblings of a host that is young.
bool HostDetector::WasKnown(const IpAddress& address, WallTime at) const {
  const std::string name(address.AsBytes());
  const auto first = scene_.baseline().FirstSeen(agent_, SeenKind::kDestination, name);
  if (first && *first + kFreshFor < at) return true;
  return scene_.baseline().Judge(agent_, SeenKind::kDestination, name, at) >= Familiarity::kSeen;
}

bool HostDetector::IsOldDestination(const IpAddress& address, WallTime at) const {
  const auto it = contacts_.find(address);
  return it != contacts_.end() && (it->second.known || it->second.first + kFreshFor < at);
}

std::string HostDetector::NameOf(const IpAddress& address) const {
  const auto it = contacts_.find(address);
  return it == contacts_.end() ? "" : it->second.name;
}

std::uint64_t HostDetector::ResolvedFrom(const IpAddress& address) {
  const std::uint64_t* name = resolved_.Find(address);
  return name == nullptr ? 0 : *name;
}

Group& HostDetector::GroupAt(ProcessId process, WallTime at) {
  TellWaiting(at);
  host_.last = std::max(host_.last, at);
  auto [it, fresh] = group_of_.try_emplace(process.value());
  if (fresh) {
    it->second = processes_.GroupOf(process);
    NoteProgram(process);
  }
  Group& group = GroupNamed(it->second);
  group.last = std::max(group.last, at);
  return group;
}

Group& HostDetector::GroupNamed(const std::string& key) {
  if (key == kHostGroup) return host_;
  Group& group = groups_[key];
  if (group.key.empty()) group.key = key;
  return group;
}

void HostDetector::NoteProgram(ProcessId process) {
  const std::string program = processes_.ProgramKeyOf(process);
  if (program.empty()) return;
  scene_.baseline().Note(agent_, SeenKind::kProgram, program, host_.last);
}

void HostDetector::Raise(Group& group, Alarm alarm) { episodes_.Raise(group, std::move(alarm)); }

bool HostDetector::IsDue(const Group& group, const char* rule, WallTime at) {
  return episodes_.IsDue(group, rule,
                         {FlowId{flow_.flow}, ProcessId{flow_.process}, at, frame_->lsn});
}

// Before what comes at `now` is taken, so that it does not matter which frame it is in.
void HostDetector::TellWaiting(WallTime now) {
  for (const Episodes::Waiting& one : episodes_.TakeWaiting(now)) {
    Group& group = GroupNamed(one.group);
    if (one.flow) LookAgain(one.rule, *one.flow, group);
    episodes_.TellNews(group, one.rule);
  }
}

void HostDetector::LookAgain(const std::string& rule, const FlowMoment& moment, Group& group) {
  const auto it = flows_.find(FlowKey{moment.flow.value(), moment.process.value()});
  if (it == flows_.end()) return;
  const FlowState& flow = it->second;
  const FlowEvent event{flow.facts, flow.total,    {},    moment.at, false,
                        false,      flow.answered, false, false,     moment.lsn};
  if (rule == "scan") JudgeScan(event, thresholds_.scan, group, *this);
  if (rule == "egress") JudgeEgress(event, thresholds_.egress, group, *this);
  if (rule == "relay" || rule == "ssh-relay") JudgeRelay(event, thresholds_.relay, group, *this);
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
  episodes_.Forget();
}

}  // namespace culprit
