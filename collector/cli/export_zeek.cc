// SPDX-License-Identifier: Apache-2.0
// conn.log in Zeek's tab-separated form. What Zeek would know and we do not (history, which remote
// addresses are local) is unset, never guessed.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collector/cli/export.h"
#include "collector/cli/time_parse.h"
#include "common/number.h"

namespace culprit::cli {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;
constexpr std::int64_t kNsPerMicrosecond = 1'000;
constexpr std::string_view kUnset = "-", kEmpty = "(empty)";

struct ColumnType {
  const char* name;
  const char* type;
};
constexpr ColumnType kColumns[] = {{"ts", "time"},
                                   {"uid", "string"},
                                   {"id.orig_h", "addr"},
                                   {"id.orig_p", "port"},
                                   {"id.resp_h", "addr"},
                                   {"id.resp_p", "port"},
                                   {"proto", "enum"},
                                   {"service", "string"},
                                   {"duration", "interval"},
                                   {"orig_bytes", "count"},
                                   {"resp_bytes", "count"},
                                   {"conn_state", "string"},
                                   {"local_orig", "bool"},
                                   {"local_resp", "bool"},
                                   {"missed_bytes", "count"},
                                   {"history", "string"},
                                   {"orig_pkts", "count"},
                                   {"orig_ip_bytes", "count"},
                                   {"resp_pkts", "count"},
                                   {"resp_ip_bytes", "count"},
                                   {"tunnel_parents", "set[string]"},
                                   {"community_id", "string"},
                                   {"culprit_host", "string"},
                                   {"culprit_pid", "count"},
                                   {"culprit_exe", "string"},
                                   {"culprit_user", "string"},
                                   {"culprit_process_id", "string"}};

// Zeek's own escapes; a text that says what an unset or an empty field says gets one too.
std::string Text(std::string_view text) {
  if (text.empty()) return std::string(kUnset);
  std::string out;
  for (const char c : text) {
    const bool first_of_a_mark = out.empty() && (text == kUnset || text == kEmpty);
    if (c == '\\') {
      out += "\\\\";
    } else if (c < ' ' || c > '~' || first_of_a_mark || (out.empty() && c == '#')) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

// `ns` >= 0.
std::string Seconds(std::int64_t ns) {
  return fmt::format("{}.{:06}", ns / kNsPerSecond, ns % kNsPerSecond / kNsPerMicrosecond);
}

// "C" and the flow's id in base 62. A flow that was charged to several processes has one uid in
// several lines.
std::string Uid(const std::string& flow_id) {
  constexpr std::string_view kDigits =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::uint64_t id = 0;
  if (!ParseWhole(flow_id, &id, 16)) return std::string(kUnset);
  std::string digits;
  do {
    digits += kDigits[id % kDigits.size()];
    id /= kDigits.size();
  } while (id != 0);
  std::reverse(digits.begin(), digits.end());
  return "C" + digits;
}

std::string_view Protocol(const std::string& protocol) {
  if (protocol == "tcp" || protocol == "udp" || protocol == "icmp") return protocol;
  return protocol == "icmp6" ? "icmp" : "unknown_transport";
}

// Only what the flow's own bytes said; a port is no proof.
std::string_view Service(const v1::FlowRow& flow) {
  if (flow.requested_by() == "socks") return "socks";
  if (flow.name_source() == "http_host" || flow.requested_by() == "http_connect") return "http";
  if (flow.name_source() == "tls_sni") return "ssl";
  return flow.name_source() == "quic_sni" ? "quic" : kUnset;
}

// The flow as its originator sees it.
struct Ends {
  bool inbound = false;
  bool originator_sent = false, responder_sent = false;
};

std::string_view FailedState(const v1::FlowRow& flow, const Ends& ends) {
  if (flow.error() == "ECONNREFUSED") return "REJ";
  if (flow.error() == "ECONNRESET") return ends.inbound ? "RSTO" : "RSTR";
  // Nothing that Zeek could have seen left the host.
  return flow.error() == "EPERM" || flow.error() == "EACCES" ? "OTH" : "S0";
}

// Of TCP: by what became of it. Of UDP, as Zeek has it: by who sent. Of the rest: OTH.
std::string_view ConnState(const v1::FlowRow& flow, const Ends& ends) {
  if (flow.protocol() == "udp") {
    if (ends.originator_sent) return ends.responder_sent ? "SF" : "S0";
    return ends.responder_sent ? "SHR" : "OTH";
  }
  if (flow.protocol() != "tcp") return "OTH";
  const std::string& state = flow.state();
  if (state == "closed") return "SF";
  if (state == "open" || state == "handed_over") return "S1";
  if (state == "attempt") return "S0";
  if (state == "failed") return FailedState(flow, ends);
  return state == "aborted" ? "RSTOS0" : "OTH";  // OTH: not_sent
}

// "2026-03-01-00-03-04" of "2026-03-01T00:03:04…", in UTC.
std::string HeaderTime(std::int64_t ns) {
  std::string time = FormatRfc3339(ns).substr(0, 19);
  for (char& c : time) c = c == 'T' || c == ':' ? '-' : c;
  return time;
}

template <class F>
std::string ColumnLine(std::string_view title, F&& word) {
  std::string line(title);
  for (const ColumnType& column : kColumns) line.append("\t").append(word(column));
  return line + "\n";
}

}  // namespace

std::string ZeekHeader(std::int64_t now_ns) {
  return "#separator \\x09\n#set_separator\t,\n#empty_field\t" + std::string(kEmpty) +
         "\n#unset_field\t" + std::string(kUnset) + "\n#path\tconn\n#open\t" + HeaderTime(now_ns) +
         "\n" + ColumnLine("#fields", [](const ColumnType& c) { return c.name; }) +
         ColumnLine("#types", [](const ColumnType& c) { return c.type; });
}

std::string ZeekFooter(std::int64_t now_ns) { return "#close\t" + HeaderTime(now_ns) + "\n"; }

std::string ZeekLine(const v1::FlowRow& f) {
  // What passes through has its source as the local end, so that only "in" began elsewhere.
  const bool inbound = f.direction() == "in", forwarded = f.direction() == "forwarded";
  const Ends ends{inbound, (inbound ? f.rx_packets() : f.tx_packets()) > 0,
                  (inbound ? f.tx_packets() : f.rx_packets()) > 0};
  const bool both_local =
      !forwarded && f.local() == f.remote() && f.local() != "0.0.0.0" && f.local() != "::";
  const auto is_local = [&](bool end_is_ours) {
    return (end_is_ours && !forwarded) || both_local ? "T" : kUnset;
  };
  const std::int64_t start = std::max<std::int64_t>(f.start_ns(), 0);
  const std::int64_t span = f.last_ns() > start ? f.last_ns() - start : 0;
  const std::string fields[] = {
      Seconds(start),
      Uid(f.flow_id()),
      Text(inbound ? f.remote() : f.local()),
      std::to_string(inbound ? f.remote_port() : f.local_port()),
      Text(inbound ? f.local() : f.remote()),
      std::to_string(inbound ? f.local_port() : f.remote_port()),
      std::string(Protocol(f.protocol())),
      std::string(Service(f)),
      span > 0 ? Seconds(span) : std::string(kUnset),
      std::to_string(inbound ? f.rx_payload_bytes() : f.tx_payload_bytes()),
      std::to_string(inbound ? f.tx_payload_bytes() : f.rx_payload_bytes()),
      std::string(ConnState(f, ends)),
      std::string(is_local(!inbound)),
      std::string(is_local(inbound)),
      "0",
      std::string(kUnset),
      std::to_string(inbound ? f.rx_packets() : f.tx_packets()),
      std::to_string(inbound ? f.rx_wire_bytes() : f.tx_wire_bytes()),
      std::to_string(inbound ? f.tx_packets() : f.rx_packets()),
      std::to_string(inbound ? f.tx_wire_bytes() : f.rx_wire_bytes()),
      std::string(kUnset),
      Text(f.community_id()),
      Text(f.host()),
      f.pid() == 0 ? std::string(kUnset) : std::to_string(f.pid()),
      Text(f.exe()),
      Text(f.user()),
      Text(f.process_id())};
  static_assert(std::size(fields) == std::size(kColumns));
  return fmt::format("{}\n", fmt::join(fields, "\t"));
}

}  // namespace culprit::cli
