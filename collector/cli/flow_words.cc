// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/flow_words.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "common/units.h"

namespace culprit::cli {

std::string AddressPort(const std::string& address, std::uint32_t port) {
  if (address.empty()) return "-";
  const bool v6 = address.find(':') != std::string::npos;
  const std::string host = v6 ? "[" + address + "]" : address;
  return port == 0 ? address : host + ":" + std::to_string(port);
}

std::string Or(std::string_view text, std::string_view otherwise) {
  return std::string(text.empty() ? otherwise : text);
}

// The name that a remote end goes by, and the address behind it.
std::string RemoteOf(const v1::FlowRow& flow) {
  const std::string address = AddressPort(flow.remote(), flow.remote_port());
  if (!flow.requested().empty()) return fmt::format("{} -> {}", address, flow.requested());
  return flow.name().empty() ? address : fmt::format("{} ({})", address, flow.name());
}

// Above the kernel's PID_MAX_LIMIT: stands for the process that a capture does not name.
std::string Pid(std::uint32_t pid) {
  constexpr std::uint32_t kMaxPid = 4U << 20;
  return pid == 0 || pid > kMaxPid ? "-" : std::to_string(pid);
}

Cell StateCell(const v1::FlowRow& flow) {
  // "ECONNREFUSED" says "failed" too.
  const std::string text = flow.error().empty() ? flow.state() : flow.error();
  const bool bad =
      flow.state() == "failed" || flow.state() == "not_sent" || flow.state() == "aborted";
  return {text, bad ? Style::kWarning : Style::kPlain};
}

std::string LoginOf(const v1::FlowRow& flow) {
  if (flow.session_id().empty()) return "-";
  return fmt::format("{}@{}", Or(flow.session_user(), "?"),
                     Or(flow.session_address(), flow.session_kind()));
}

std::string What(const v1::FlowRow& flow) {
  if (flow.forwarded_by_session()) {
    return fmt::format("{} [for {}]", Or(flow.exe(), flow.comm()), LoginOf(flow));
  }
  if (!flow.command_line().empty()) return flow.command_line();
  if (flow.comm().empty() && flow.direction() == "forwarded") return "(forwarded)";
  const auto& flags = flow.flags();
  if (flow.comm().empty() && std::find(flags.begin(), flags.end(), "kernel") != flags.end()) {
    return "(kernel)";
  }
  return Or(flow.exe(), Or(flow.comm(), "unknown process"));
}

Cell CountCell(std::uint64_t n, Style style_if_any) {
  return {FormatCount(n), n == 0 ? Style::kPlain : style_if_any};
}

std::string PlaceText(const Place& place) {
  std::string out;
  const auto add = [&out](const std::string& word) {
    if (!word.empty()) out += (out.empty() ? "" : " ") + word;
  };
  add(place.region);
  add(place.service);
  add(place.country);
  if (place.asn != 0) add(fmt::format("AS{}", place.asn));
  add(place.as_name);
  return Or(out, "-");
}

std::string CostText(const v1::FlowRow& flow) {
  return flow.cost_known() ? FormatUsd(flow.cost_micro_usd()) : "?";
}

std::string CostText(const v1::FlowGroup& group) {
  if (!group.has_cost()) return "-";
  if (group.cost_unknown_bytes() == 0) return FormatUsd(group.cost_micro_usd());
  return group.cost_micro_usd() == 0 ? "?" : FormatUsd(group.cost_micro_usd()) + " + ?";
}

}  // namespace culprit::cli
