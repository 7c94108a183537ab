// SPDX-License-Identifier: Apache-2.0
// Records as lines of JSON, for `replay --print`: what a person or a script looks at, not a format
// of record.
#include <utility>

#include "agent/json_writer.h"
#include "agent/output.h"
#include "common/hex.h"

namespace culprit {
namespace {

constexpr std::string_view kStates[] = {"none",    "attempt",  "open",        "closed",   "failed",
                                        "aborted", "not_sent", "handed_over", "listening"};
constexpr std::string_view kDirections[] = {"unknown", "out", "in", "listen", "forwarded"};
constexpr std::string_view kCauses[] = {
    "unspecified", "ring_full",     "socket_storage", "peer_table_full", "process_table",
    "spool_cap",   "spool_corrupt", "spool_write",    "quarantined",     "agent_tables",
    "queue_full",  "hash_queue",    "forward_table",  "ledger_full",     "process_budget"};

template <std::size_t N, class Enum>
std::string_view NameIn(const std::string_view (&names)[N], Enum value) {
  const auto index = static_cast<std::size_t>(value);
  return index < N ? names[index] : names[0];
}

template <class Id>
void IdField(JsonWriter& json, std::string_view name, Id id) {
  json.Field(name, HexId(id.value()));
}

// One record: opens the object with its type, closes it and ends the line.
template <class Fill>
void Line(std::string_view type, std::string* out, const Fill& fill) {
  JsonWriter json(std::move(*out));
  json.Open('{');
  json.Field("type", type);
  fill(json);
  json.Close('}');
  *out = std::move(json).Take();
  out->push_back('\n');
}

void ProcessLine(const ProcessFacts& process, const ClockPair& clock, std::string* out) {
  Line("process", out, [&](JsonWriter& json) {
    IdField(json, "process", process.id);
    IdField(json, "parent", process.parent);
    json.Field("pid", std::uint64_t{process.key.tgid.value()});
    json.Field("exec_id", process.key.exec_id);
    json.Field("started", FormatUtc(clock.ToWall(process.key.start)));
    json.Field("exe", process.exe);
    json.Field("comm", process.comm);
    json.Key("argv").Open('[');
    for (const std::string& arg : process.argv) json.Text(arg);
    json.Close(']');
    json.Field("uid", std::uint64_t{process.uid.value()});
    json.Field("user", process.user);
    json.Field("login_user", process.login_user);
    json.Field("session", std::uint64_t{process.session_id});
    json.Field("container", process.container_id);
    json.Field("cgroup", process.cgroup);
    json.Field("cwd", process.cwd);
    json.Field("sha256",
               process.exe_sha256 ? HexEncode(AsBytes(*process.exe_sha256)) : std::string());
    constexpr std::string_view kPackageStates[] = {"", "none", "intact", "differs", "listed"};
    json.Field("package_state",
               kPackageStates[static_cast<std::size_t>(process.exe_package.state)]);
    json.Field("package", process.exe_package.name);
    json.FlagField("deleted", process.exe_deleted);
    json.FlagField("memfd", process.exe_memfd);
    json.FlagField("preexisting", process.preexisting);
    json.FlagField("forked", process.forked);
    json.FlagField("agent", process.is_agent);
  });
}

void FlowLine(const FlowRow& flow, const ClockPair& clock, std::string* out) {
  Line("flow", out, [&](JsonWriter& json) {
    IdField(json, "flow", flow.flow);
    IdField(json, "process", flow.process);
    IdField(json, "creator", flow.creator);
    json.Field("at", FormatUtc(clock.ToWall(flow.emitted)));
    json.Field("start", FormatUtc(clock.ToWall(flow.start)));
    json.Field("protocol", std::uint64_t{flow.protocol});
    json.Field("direction", NameIn(kDirections, flow.direction));
    json.Field("local", flow.local.ToString());
    json.Field("remote", flow.remote.ToString());
    json.Field("state", NameIn(kStates, flow.state));
    json.Key("errno").Signed(flow.error);
    json.Field("flags", std::uint64_t{flow.flags});
    json.Field("tx_wire_bytes", flow.totals.tx_wire_bytes);
    json.Field("rx_wire_bytes", flow.totals.rx_wire_bytes);
    json.Field("tx_payload_bytes", flow.totals.tx_payload_bytes);
    json.Field("rx_payload_bytes", flow.totals.rx_payload_bytes);
    if (flow.direction == Direction::kForwarded) {
      json.Field("in_ifindex", std::uint64_t{flow.in_ifindex});
      json.Field("out_ifindex", std::uint64_t{flow.out_ifindex});
    }
    json.Field("tx_packets", flow.totals.tx_packets);
    json.Field("rx_packets", flow.totals.rx_packets);
  });
}

void CounterLine(const CounterFacts& counters, const ClockPair& clock, std::string* out) {
  Line("counters", out, [&](JsonWriter& json) {
    IdField(json, "process", counters.process);
    json.Field("at", FormatUtc(clock.ToWall(counters.at)));
    json.Field("attempts", counters.tcp_attempts);
    json.Field("ok", counters.outcome[CULPRIT_OUTCOME_OK]);
    json.Field("refused", counters.outcome[CULPRIT_OUTCOME_REFUSED]);
    json.Field("timed_out", counters.outcome[CULPRIT_OUTCOME_TIMED_OUT]);
    json.Field("unreachable", counters.outcome[CULPRIT_OUTCOME_UNREACHABLE]);
    json.Field("accepts", counters.accepts);
    json.Field("suppressed_flows", counters.suppressed_flows);
    const Activity& activity = counters.activity;
    json.Field("first_contacts", activity.first_contacts);
    json.Field("first_contacts_ok", activity.first_contacts_ok);
    json.Field("first_contacts_failed", activity.first_contacts_failed);
    json.Field("raw_packets", activity.raw_packets);
    json.Field("link_packets", activity.link_packets);
    json.Field("bare_syns", activity.bare_syns);
    json.Field("window_addresses", activity.window_addresses);
    json.Field("window_ports", activity.window_ports);
  });
}

void InterfaceLine(const InterfaceFacts& interface, const CoverageFacts& coverage,
                   const ClockPair& clock, std::string* out) {
  Line("coverage", out, [&](JsonWriter& json) {
    json.Field("at", FormatUtc(clock.ToWall(coverage.at)));
    json.Field("since", FormatUtc(clock.ToWall(coverage.since)));
    json.Field("netns", std::uint64_t{interface.netns});
    json.Field("ifindex", std::uint64_t{interface.ifindex});
    json.Field("name", interface.name);
    json.FlagField("readable", interface.readable);
    for (const bool tx : {true, false}) {
      const TrafficFacts& traffic = tx ? interface.tx : interface.rx;
      json.Key(tx ? "tx" : "rx").Open('{');
      json.Field("process_bytes", traffic.bytes[CULPRIT_CLASS_PROCESS]);
      json.Field("kernel_bytes", traffic.bytes[CULPRIT_CLASS_KERNEL]);
      json.Field("forwarded_bytes", traffic.bytes[CULPRIT_CLASS_FORWARDED]);
      json.Field("unknown_bytes", traffic.bytes[CULPRIT_CLASS_UNKNOWN]);
      json.Field("interface_bytes", traffic.interface_bytes);
      json.Close('}');
    }
  });
}

void NameLine(const FlowNameFacts& name, const ClockPair& clock, std::string* out) {
  constexpr std::string_view kSources[] = {"none",      "dns",   "tls_sni",     "quic_sni",
                                           "http_host", "socks", "http_connect"};
  constexpr std::string_view kConfidence[] = {"none", "other_asked", "process_asked", "in_flow"};
  Line("name", out, [&](JsonWriter& json) {
    IdField(json, "flow", name.flow);
    IdField(json, "process", name.process);
    json.Field("at", FormatUtc(clock.ToWall(name.at)));
    json.Field("source", NameIn(kSources, name.source));
    json.Field("confidence", NameIn(kConfidence, name.confidence));
    json.Key("name").Escaped(name.name);
    json.Key("alpn").Escaped(name.alpn);
    json.Field("port", std::uint64_t{name.port});
  });
}

void DnsLine(const DnsFacts& question, const ClockPair& clock, std::string* out) {
  Line("dns", out, [&](JsonWriter& json) {
    IdField(json, "process", question.process);
    IdField(json, "flow", question.flow);
    json.Field("at", FormatUtc(clock.ToWall(question.at)));
    json.Field("server", question.server.ToString());
    json.Key("name").Escaped(question.name);
    json.Field("qtype", std::uint64_t{question.type});
    json.Key("rcode").Signed(question.rcode);
    json.Key("answers").Open('[');
    for (const std::string& answer : question.answers) json.Escaped(answer);
    json.Close(']');
    json.Field("questions", std::uint64_t{question.questions});
    json.Field("query_bytes", question.query_bytes);
    json.Field("answer_bytes", question.answer_bytes);
    json.Field("suppressed", std::uint64_t{question.suppressed});
  });
}

void PostureLine(const PostureFacts& posture, const ClockPair& clock, std::string* out) {
  Line("ssh", out, [&](JsonWriter& json) {
    json.Field("at", FormatUtc(clock.ToWall(posture.at)));
    json.Key("config").Escaped(posture.config_path);
    json.Field("servers", std::uint64_t{posture.servers.size()});
    json.Field("keys", std::uint64_t{posture.keys.size()});
    json.Key("findings").Open('[');
    for (const SshFindingFacts& finding : posture.findings) json.Escaped(finding.id);
    json.Close(']');
  });
}

void PostureChangeLine(const PostureChangeFacts& change, const ClockPair& clock, std::string* out) {
  constexpr std::string_view kKinds[] = {"none",       "created",        "changed",     "removed",
                                         "attributes", "server_started", "server_ended"};
  Line("ssh_change", out, [&](JsonWriter& json) {
    json.Field("at", FormatUtc(clock.ToWall(change.at)));
    json.Field("kind", NameIn(kKinds, change.kind));
    json.Key("path").Escaped(change.path);
    json.Key("diff").Escaped(change.diff);
    IdField(json, "process", change.process);
    json.Field("pid", std::uint64_t{change.pid});
  });
}

}  // namespace

void AppendBatchLines(const RecordBatch& batch, const ClockPair& clock, std::string* out) {
  if (batch.host) {
    Line("host", out, [&](JsonWriter& json) {
      json.Field("hostname", batch.host->hostname);
      json.Field("instance_id", batch.host->instance_id);
      json.Field("kernel", batch.host->kernel);
    });
  }
  for (const ProcessFacts& process : batch.processes) ProcessLine(process, clock, out);
  for (const FlowRow& flow : batch.flows) FlowLine(flow, clock, out);
  for (const CounterFacts& counters : batch.counters) CounterLine(counters, clock, out);
  for (const ExitFacts& exit : batch.exits) {
    Line("exit", out, [&](JsonWriter& json) {
      IdField(json, "process", exit.id);
      json.Field("at", FormatUtc(clock.ToWall(exit.at)));
      json.Key("wait_status").Signed(exit.wait_status);
    });
  }
  for (std::size_t i = 0; batch.coverage && i < batch.coverage->interfaces.size(); ++i) {
    InterfaceLine(batch.coverage->interfaces[i], *batch.coverage, clock, out);
  }
  for (const LossFacts& loss : batch.losses) {
    Line("loss", out, [&](JsonWriter& json) {
      json.Field("cause", NameIn(kCauses, loss.cause));
      json.Field("count", loss.count);
      json.Field("detail", loss.detail);
    });
  }
  for (const FlowNameFacts& name : batch.names) NameLine(name, clock, out);
  for (const DnsFacts& question : batch.dns) DnsLine(question, clock, out);
  if (batch.posture) PostureLine(*batch.posture, clock, out);
  for (const PostureChangeFacts& change : batch.posture_changes)
    PostureChangeLine(change, clock, out);
}

}  // namespace culprit
