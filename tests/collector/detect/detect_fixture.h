// SPDX-License-Identifier: Apache-2.0
// A host whose evidence a test writes line by line: processes, flows, counters and names on a clock
// of its own, cut into frames, and the findings that come of them.
#ifndef CULPRIT_TESTS_COLLECTOR_DETECT_DETECT_FIXTURE_H_
#define CULPRIT_TESTS_COLLECTOR_DETECT_DETECT_FIXTURE_H_

#include <netinet/in.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "collector/detect/engine.h"

namespace culprit::testing {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::int64_t kBootWallNs = 1'770'000'000 * std::int64_t{1'000'000'000};

inline IpAddress Ip(const std::string& text) { return *IpAddress::Parse(text); }

// A host of ap-south-1; 203.0.113.0/24 is AWS's in me-south-1. A GB to there costs $0.086, one to
// the internet $0.10.
class TestPlaces final : public PlaceSource {
 public:
  TestPlaces() {
    tables->geo.aws = std::make_shared<IpRanges>(*IpRanges::Parse(
        R"({"createDate":"2026-02-22-15-17-05","ipv6_prefixes":[],"prefixes":[)"
        R"({"ip_prefix":"203.0.113.0/24","region":"me-south-1","service":"EC2"}]})"));
    tables->prices = std::make_shared<PriceTable>(*PriceTable::Parse(
        "date = \"2026-01-31\"\nbytes_per_gb = 1000000000\n"
        "[[internet]]\nfrom = \"ap-south-1\"\nas_of = \"a\"\nsource = \"b\"\n"
        "micro_usd_per_gb = 100000\n"
        "[[inter_region]]\nfrom = \"ap-south-1\"\nto = \"*\"\nas_of = \"a\"\nsource = \"b\"\n"
        "micro_usd_per_gb = 86000\n",
        "prices.toml"));
    tables->region = "ap-south-1";
  }
  std::shared_ptr<const PlaceTables> Read() const override { return tables; }
  std::shared_ptr<PlaceTables> tables = std::make_shared<PlaceTables>();
};

struct FlowSpec {
  std::uint64_t process = 0;
  std::string remote;
  std::uint16_t remote_port = 443;
  std::uint8_t protocol = IPPROTO_TCP;
  v1::FlowDirection direction = v1::FLOW_DIRECTION_OUTBOUND;
  v1::FlowState state = v1::FLOW_STATE_OPEN;
  std::uint64_t tx = 0, rx = 0;  // payload, cumulative
  std::uint64_t tx_packets = 1, rx_packets = 0;
  std::uint64_t lived = 0;  // ns before now
  std::uint64_t flow = 0;   // 0 = a new one
  std::uint16_t local_port = 40000;
  std::uint32_t flags = 0;
};

class HostScript {
 public:
  std::uint64_t now = 1000 * kSecond;  // boot ns

  // Under no login, or under that of root. `sha256`: 32 bytes, or none.
  std::uint64_t Process(const std::string& exe, std::uint64_t parent = 0, std::uint32_t pid = 0,
                        bool of_login = false, const std::string& sha256 = "") {
    v1::Process process;
    process.set_exe_sha256(sha256);
    process.set_process_id(++ids_);
    process.set_parent_id(parent);
    process.set_tgid(pid == 0 ? 100 + static_cast<std::uint32_t>(ids_) : pid);
    process.set_start_boot_ns(now);
    process.set_exe(exe);
    process.set_comm("x");
    process.set_login_uid(of_login ? 0 : 0xffffffff);
    frame().processes.push_back(process);
    return process.process_id();
  }

  std::uint64_t Flow(const FlowSpec& spec) {
    FlowObservation seen;
    const std::uint64_t id = spec.flow == 0 ? (++flows_ << 8) : spec.flow;
    seen.facts.flow = FlowId{id};
    seen.facts.process = seen.facts.creator = ProcessId{spec.process};
    seen.facts.local = Ip("192.0.2.1");
    seen.facts.remote = Ip(spec.remote);
    seen.facts.local_port = spec.local_port;
    seen.facts.remote_port = spec.remote_port;
    seen.facts.protocol = spec.protocol;
    seen.facts.direction = spec.direction;
    seen.facts.state = spec.state;
    seen.facts.flags = spec.flags;
    seen.start_boot_ns = now - spec.lived;
    seen.emitted_boot_ns = now;
    seen.facts.start = WallTimeFromNs(kBootWallNs + static_cast<std::int64_t>(now - spec.lived));
    seen.facts.last = WallTimeFromNs(kBootWallNs + static_cast<std::int64_t>(now));
    seen.cumulative = {.tx_wire_bytes = spec.tx + 40 * spec.tx_packets,
                       .rx_wire_bytes = spec.rx + 40 * spec.rx_packets,
                       .tx_payload_bytes = spec.tx,
                       .rx_payload_bytes = spec.rx,
                       .tx_packets = spec.tx_packets,
                       .rx_packets = spec.rx_packets};
    frame().flows.push_back(seen);
    return id;
  }

  // One that was answered, or not, and is over.
  std::uint64_t Ended(std::uint64_t process, const std::string& remote, std::uint16_t port,
                      bool answered) {
    return Flow({.process = process,
                 .remote = remote,
                 .remote_port = port,
                 .state = answered ? v1::FLOW_STATE_CLOSED : v1::FLOW_STATE_FAILED,
                 .tx = answered ? 100U : 0U,
                 .rx = answered ? 1000U : 0U,
                 .rx_packets = answered ? 3U : 0U,
                 .lived = kSecond / 10});
  }

  void Counters(const v1::ProcessCounters& cumulative) {
    v1::ProcessCounters counters = cumulative;
    counters.set_at_boot_ns(now);
    frame().counters.push_back(counters);
  }

  void Name(std::uint64_t process, std::uint64_t flow, v1::NameSource source,
            const std::string& name, std::uint32_t port = 0) {
    v1::FlowName record;
    record.set_process_id(process);
    record.set_flow_id(flow);
    record.set_source(source);
    record.set_name(name);
    record.set_port(port);
    record.set_at_boot_ns(now);
    frame().names.push_back(record);
  }

  void Ask(std::uint64_t process, const std::string& name, std::uint32_t type = 1,
           const std::vector<std::string>& answers = {}) {
    v1::DnsQuestion question;
    for (const std::string& answer : answers) question.add_answers(answer);
    question.set_process_id(process);
    question.set_name(name);
    question.set_type(type);
    question.set_at_boot_ns(now);
    frame().dns.push_back(question);
  }

  void Login(std::uint64_t process, const std::string& user, const std::string& address,
             const std::string& method, const std::string& key) {
    v1::Session session;
    session.set_session_id(process);
    session.set_root_process_id(process);
    session.set_kind(v1::LOGIN_KIND_SSH);
    session.set_user(user);
    session.set_address(std::string(Ip(address).AsBytes()));
    v1::Login login;
    login.set_session_id(process);
    login.set_kind(v1::LOGIN_KIND_SSH);
    login.set_user(user);
    login.set_method(method);
    login.set_key_fingerprint(key);
    frame().sessions.push_back(session);
    frame().logins.push_back(login);
  }

  void Host(const std::string& image) {
    frame().has_host = true;
    frame().host.set_hostname("host");
    frame().host.set_image_id(image);
  }

  void Wait(double seconds) {
    now += static_cast<std::uint64_t>(seconds * static_cast<double>(kSecond));
    Cut();
  }
  // What follows goes into another frame.
  void Cut() {
    if (!frames_.empty() && frames_.back().records() > 0) frames_.emplace_back();
    made_.resize(frames_.size(), now);
    if (!made_.empty()) made_.back() = now;
  }

  const std::vector<DecodedFrame>& Frames() {
    Lsn lsn = 0;
    for (DecodedFrame& one : frames_) {
      one.lsn = ++lsn;
      // The pair is read when the frame is made.
      const std::uint64_t made = made_[lsn - 1];
      one.clock.boot = BootTimeFromNs(made);
      one.clock.wall = WallTimeFromNs(kBootWallNs + static_cast<std::int64_t>(made));
      one.stamp.agent_id = agent;
      one.stamp.received = WallTimeFromNs(kBootWallNs + static_cast<std::int64_t>(now)) + skew;
      one.stamp.agent_name = "host";
    }
    return frames_;
  }
  std::chrono::nanoseconds skew{0};  // of the collector's clock against the host's
  Uuid agent;

 private:
  DecodedFrame& frame() {
    if (frames_.empty()) {
      frames_.emplace_back();
      made_.push_back(now);
    }
    return frames_.back();
  }
  std::vector<DecodedFrame> frames_;
  std::vector<std::uint64_t> made_;  // boot ns of each
  std::uint64_t ids_ = 0, flows_ = 0;
};

// The newest state of every finding, by id.
using Findings = std::map<std::string, v1::Finding>;

inline Findings Detected(const std::vector<DecodedFrame>& frames,
                         const DetectThresholds& thresholds = {}, const WorkHours& hours = {}) {
  Findings found;
  const TestPlaces places;
  DetectEngine engine(
      thresholds, [&](const v1::Finding& finding) { found[finding.id()] = finding; },
      {&places, hours});
  for (const DecodedFrame& frame : frames) engine.Take(frame);
  return found;
}
inline Findings Detected(HostScript& script, const DetectThresholds& thresholds = {}) {
  return Detected(script.Frames(), thresholds);
}

inline std::vector<std::string> RulesOf(const Findings& found) {
  std::vector<std::string> rules;
  for (const auto& [id, finding] : found) rules.push_back(finding.rule());
  std::sort(rules.begin(), rules.end());
  return rules;
}
inline const v1::Finding* FindRule(const Findings& found, const std::string& rule) {
  for (const auto& [id, finding] : found) {
    if (finding.rule() == rule) return &finding;
  }
  return nullptr;
}

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_COLLECTOR_DETECT_DETECT_FIXTURE_H_
