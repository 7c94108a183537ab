// SPDX-License-Identifier: Apache-2.0
// Class 4001: the source is who began the connection, whichever end is ours.
#include <algorithm>

#include "collector/format/finding_words.h"
#include "collector/format/ocsf.h"
#include "collector/format/protocol_number.h"

namespace culprit {
namespace {

constexpr int kCategory = 4, kClass = 4001;
constexpr std::int64_t kNsPerMs = 1'000'000;

struct Activity {
  int id;
  const char* name;
};

Activity ActivityOf(const v1::FlowRow& flow) {
  const std::string& state = flow.state();
  if (state == "closed") return {2, "Close"};
  if (state == "open" || state == "handed_over") return {6, "Traffic"};
  if (state == "attempt") return {1, "Open"};
  if (flow.error() == "ECONNREFUSED") return {5, "Refuse"};
  if (flow.error() == "ECONNRESET") return {3, "Reset"};
  return {4, "Fail"};
}

Json EndpointOf(const std::string& address, std::uint32_t port) {
  Json endpoint;
  endpoint["ip"] = address;
  if (port != 0) endpoint["port"] = port;
  return endpoint;
}

Json ConnectionOf(const v1::FlowRow& flow) {
  Json info;
  info["uid"] = flow.flow_id();
  const bool in = flow.direction() == "in", out = flow.direction() == "out";
  info["direction_id"] = in ? 1 : out ? 2 : 99;
  info["direction"] = in ? "Inbound" : out ? "Outbound" : flow.direction();
  info["protocol_name"] = flow.protocol();
  const int number = ProtocolNumber(flow.protocol());
  if (number >= 0) info["protocol_num"] = number;
  const bool six = flow.remote().find(':') != std::string::npos;
  info["protocol_ver_id"] = six ? 6 : 4;
  info["protocol_ver"] =
      six ? "Internet Protocol version 6 (IPv6)" : "Internet Protocol version 4 (IPv4)";
  return info;
}

Json ProcessOf(const v1::FlowRow& flow) {
  Json process;
  process["uid"] = flow.process_id();
  if (flow.pid() != 0) process["pid"] = flow.pid();
  SetText(&process, "name", flow.comm());
  SetText(&process, "cmd_line", flow.command_line());
  if (!flow.exe().empty()) {
    Json& file = process["file"];
    file["name"] = FileNameOf(flow.exe());
    file["path"] = flow.exe();
    file["type_id"] = 1;
    file["type"] = "Regular File";
    if (!flow.exe_sha256().empty()) {
      Json hash;
      hash["algorithm_id"] = 3;
      hash["algorithm"] = "SHA-256";
      hash["value"] = flow.exe_sha256();
      file["hashes"] = Json::array({std::move(hash)});
    }
  }
  if (!flow.user().empty()) process["user"]["name"] = flow.user();
  if (!flow.container_id().empty()) process["container"]["uid"] = flow.container_id();
  return process;
}

Json ActorOf(const v1::FlowRow& flow) {
  Json actor;
  actor["process"] = ProcessOf(flow);
  if (flow.session_id().empty()) return actor;
  if (!flow.session_user().empty()) actor["user"]["name"] = flow.session_user();
  actor["session"]["uid"] = flow.session_id();
  SetText(&actor["session"], "credential_uid", flow.key_fingerprint());
  return actor;
}

// As the one who began sends.
Json TrafficOf(const v1::FlowRow& flow) {
  const bool in = flow.direction() == "in";
  Json traffic;
  traffic["bytes_out"] = in ? flow.rx_wire_bytes() : flow.tx_wire_bytes();
  traffic["bytes_in"] = in ? flow.tx_wire_bytes() : flow.rx_wire_bytes();
  traffic["bytes"] = flow.tx_wire_bytes() + flow.rx_wire_bytes();
  traffic["packets_out"] = in ? flow.rx_packets() : flow.tx_packets();
  traffic["packets_in"] = in ? flow.tx_packets() : flow.rx_packets();
  traffic["packets"] = flow.tx_packets() + flow.rx_packets();
  return traffic;
}

Json UnmappedOf(const v1::FlowRow& flow) {
  Json unmapped;
  unmapped["state"] = flow.state();
  unmapped["flags"] = ListOf(flow.flags());
  SetText(&unmapped, "community_id", flow.community_id());
  SetText(&unmapped, "name_source", flow.name_source());
  SetText(&unmapped, "requested", flow.requested());
  SetText(&unmapped, "session_address", flow.session_address());
  SetText(&unmapped, "aws_region", flow.region());
  SetText(&unmapped, "aws_service", flow.service());
  SetText(&unmapped, "route", flow.route());
  return unmapped;
}

}  // namespace

std::string OcsfFlow(const v1::FlowRow& flow) {
  const Activity activity = ActivityOf(flow);
  const bool in = flow.direction() == "in";
  Json local = EndpointOf(flow.local(), flow.local_port());
  Json remote = EndpointOf(flow.remote(), flow.remote_port());
  SetText(&remote, "hostname", flow.name());
  Json out;
  out["class_uid"] = kClass;
  out["class_name"] = "Network Activity";
  out["category_uid"] = kCategory;
  out["category_name"] = "Network Activity";
  out["activity_id"] = activity.id;
  out["activity_name"] = activity.name;
  out["type_uid"] = kClass * 100 + activity.id;
  out["type_name"] = std::string("Network Activity: ") + activity.name;
  out["time"] = flow.last_ns() / kNsPerMs;
  out["start_time"] = flow.start_ns() / kNsPerMs;
  out["end_time"] = flow.last_ns() / kNsPerMs;
  out["duration"] = std::max<std::int64_t>(0, flow.last_ns() - flow.start_ns()) / kNsPerMs;
  out["severity_id"] = 1;
  out["severity"] = "Informational";
  const bool failed = activity.id == 4 || activity.id == 5 || activity.id == 3;
  out["status_id"] = failed ? 2 : 1;
  out["status"] = failed ? "Failure" : "Success";
  SetText(&out, "status_code", flow.error());
  Json& metadata = out["metadata"];
  metadata["version"] = kOcsfVersion;
  metadata["profiles"] = Json::array({"host"});
  metadata["product"]["name"] = "Culprit";
  metadata["product"]["vendor_name"] = "Culprit";
  out["device"]["uid"] = flow.agent_id();
  SetText(&out["device"], "hostname", flow.host());
  out["device"]["type_id"] = 0;
  out["actor"] = ActorOf(flow);
  out["src_endpoint"] = in ? remote : local;
  out["dst_endpoint"] = in ? local : remote;
  out["connection_info"] = ConnectionOf(flow);
  out["traffic"] = TrafficOf(flow);
  out["unmapped"] = UnmappedOf(flow);
  return Dump(out);
}

}  // namespace culprit
