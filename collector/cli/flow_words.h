// SPDX-License-Identifier: Apache-2.0
// The words for parts of a flow that several views share.
// Stage: cli. Pure. Thread: values. Text is what agents claim: callers escape it.
#ifndef CULPRIT_COLLECTOR_CLI_FLOW_WORDS_H_
#define CULPRIT_COLLECTOR_CLI_FLOW_WORDS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "collector/cli/render.h"
#include "culprit/v1/query.pb.h"

namespace culprit::cli {

// "192.0.2.1:443", "[2001:db8::1]:443"; "-" for none.
std::string AddressPort(const std::string& address, std::uint32_t port);
std::string Or(std::string_view text, std::string_view otherwise);
// The name that a remote end goes by, and the address behind it.
std::string RemoteOf(const v1::FlowRow& flow);
// "-" for what stands for a process that a capture does not name.
std::string Pid(std::uint32_t pid);
Cell StateCell(const v1::FlowRow& flow);
// "alice@203.0.113.5", who logged in; "-" for what no login is known of.
std::string LoginOf(const v1::FlowRow& flow);
// The command line, or what else is known of who did it.
std::string What(const v1::FlowRow& flow);
Cell CountCell(std::uint64_t n, Style style_if_any);

// "me-south-1 EC2", "DE AS64496 Example"; "-" for nothing known.
struct Place {
  std::string region, service, country;
  std::uint32_t asn = 0;
  std::string as_name;
};
template <class Row>
Place PlaceIn(const Row& row) {
  return {row.region(), row.service(), row.country(), row.asn(), row.as_name()};
}
std::string PlaceText(const Place& place);

// "$17.97"; "?" for what has no price, "$17.97 + ?" for what has one in part, "-" for what was not
// worked out.
std::string CostText(const v1::FlowRow& flow);
std::string CostText(const v1::FlowGroup& group);

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_FLOW_WORDS_H_
