// SPDX-License-Identifier: Apache-2.0
#include "collector/answer/reply.h"

#include <spdlog/fmt/fmt.h>

#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

std::string Utc(std::int64_t ns) {
  return ns == 0 ? "an unknown time" : FormatUtc(WallTimeFromNs(ns));
}

std::string Command(const v1::ProcessInfo& p) {
  std::string out;
  for (const std::string& word : p.argv()) out += (out.empty() ? "" : " ") + word;
  return EscapeText(out.empty() ? (p.exe().empty() ? p.comm() : p.exe()) : out);
}

// How whoever started it came in.
std::string SessionText(const v1::ProcessInfo& p) {
  if (p.login_session_id().empty()) return "";
  std::string out = fmt::format("; the login behind it came by {}", EscapeText(p.session_kind()));
  if (!p.session_user().empty()) out += " as " + EscapeText(p.session_user());
  if (!p.session_address().empty()) out += " from " + EscapeText(p.session_address());
  if (!p.key_fingerprint().empty()) out += " with key " + EscapeText(p.key_fingerprint());
  return out;
}

std::string ProcessText(const Culprit& culprit) {
  const v1::ProcessInfo& p = culprit.process.process();
  if (p.process_id().empty()) return "a process that we could not identify further";
  std::string out = fmt::format("process {} (\"{}\", executable {}", p.pid(), Command(p),
                                EscapeText(p.exe().empty() ? "unknown" : p.exe()));
  if (p.exe_deleted()) out += ", deleted from disk";
  if (!p.exe_sha256().empty()) out += fmt::format(", SHA-256 {}", p.exe_sha256());
  out += fmt::format("), run by user {}", EscapeText(p.user().empty() ? "unknown" : p.user()));
  if (!p.login_user().empty()) {
    out += fmt::format(" in a login session of {}", EscapeText(p.login_user()));
  }
  return out + SessionText(p);
}

std::string WhereText(const Culprit& culprit) {
  const v1::HostRow& host = culprit.host;
  std::string out = host.instance_id().empty() ? culprit.match.host : host.instance_id();
  if (!host.region().empty()) out += " in " + host.region();
  if (!host.account_id().empty()) out += ", account " + host.account_id();
  return EscapeText(out);
}

}  // namespace

std::string DraftReply(const AbuseReport& report, const Culprit& culprit) {
  const v1::ProcessInfo& p = culprit.process.process();
  std::string activity = "The reported activity";
  if (!report.activities.empty()) activity += " (" + report.activities[0] + ")";
  std::string out = "Hello,\n\n";
  out += fmt::format("We have investigated your report. {} matches {} on instance {}.\n\n",
                     activity, ProcessText(culprit), WhereText(culprit));
  out += "What our own records of the instance show, in UTC:\n";
  for (const FlowMatch& match : culprit.match.best) {
    const v1::FlowRow& flow = match.flow;
    out += fmt::format("- {} to {}: {} {} port {} to {} port {}, {} sent, {} received\n",
                       Utc(flow.start_ns()), Utc(flow.last_ns()), flow.protocol(), flow.local(),
                       flow.local_port(), flow.remote(), flow.remote_port(),
                       FormatByteSize(flow.tx_wire_bytes()), FormatByteSize(flow.rx_wire_bytes()));
  }
  if (culprit.match.flows > culprit.match.best.size()) {
    out += fmt::format("- {} further connections of the same process that fit the report\n",
                       culprit.match.flows - culprit.match.best.size());
  }
  if (p.start_ns() != 0) out += fmt::format("- the process started at {}", Utc(p.start_ns()));
  if (p.start_ns() != 0) {
    out += p.exit_ns() == 0 ? "; it had not ended at the time of writing\n"
                            : fmt::format(" and ended at {}\n", Utc(p.exit_ns()));
  }
  out += "\nRoot cause: [how the process came to run; whether it was intended]\n";
  out += "Corrective action: [what was stopped, removed, rotated or restricted, and when]\n";
  out += "To keep it from happening again: [what was changed]\n\n";
  out += "Regards,\n";
  return out;
}

}  // namespace culprit
