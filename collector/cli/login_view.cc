// SPDX-License-Identifier: Apache-2.0
// The views of logins and sessions.
#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collector/cli/views.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr std::uint32_t kNotSet = 0xffffffffU;

std::string OrDash(const std::string& text) { return text.empty() ? "-" : text; }

std::string EndOf(const std::string& address, std::uint32_t port) {
  if (address.empty()) return "-";
  if (port == 0) return address;
  const bool v6 = address.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", address, v6 ? "]" : "", port);
}

// "publickey", with what it rests on where a log told nothing.
std::string MethodOf(const v1::LoginRow& row) {
  if (!row.method().empty()) return row.method();
  return row.logged() ? "-" : "(not logged)";
}

std::string KeyOf(const v1::LoginRow& row) {
  return row.key_fingerprint().empty()
             ? "-"
             : fmt::format("{} {}", row.key_fingerprint(), row.key_type());
}

// The weakest link is what the whole chain holds.
std::string WeakestOf(const v1::LoginRow& row) {
  std::string weakest;
  const auto rank = [](const std::string& word) {
    return word == "high" ? 3 : word == "medium" ? 2 : word == "low" ? 1 : 0;
  };
  for (const auto& link : row.links()) {
    if (weakest.empty() || rank(link.confidence()) < rank(weakest)) weakest = link.confidence();
  }
  return OrDash(weakest);
}

Style StyleOf(const v1::LoginRow& row) {
  return row.failures_before() > 0 || row.changes_size() > 0 ? Style::kWarning : Style::kPlain;
}

class Lines {
 public:
  void Add(std::string_view name, const std::string& value) {
    if (!value.empty()) text_ += fmt::format("{:<12} {}\n", name, EscapeText(value));
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

std::string CertificateOf(const v1::LoginRow& row) {
  if (row.ca_fingerprint().empty()) return "";
  return fmt::format("\"{}\", serial {}, signed by {}", row.certificate_id(),
                     row.certificate_serial(), row.ca_fingerprint());
}

std::string UidText(std::uint32_t uid) { return uid == kNotSet ? "none" : std::to_string(uid); }

std::string LoginText(const v1::LoginRow& row, const View& view) {
  Lines lines;
  lines.Add("session",
            fmt::format("{} on {}, {}", row.session_id(), OrDash(row.host()), row.kind()));
  lines.Add("user", OrDash(row.user()));
  lines.Add("from", EndOf(row.address(), row.port()));
  lines.Add("method", MethodOf(row));
  if (!row.key_fingerprint().empty()) lines.Add("key", KeyOf(row));
  lines.Add("found at", row.key_found_at());
  lines.Add("certificate", CertificateOf(row));
  lines.Add("for", row.principal());
  lines.Add("began", fmt::format("{} ({})", FormatTime(row.began_ns(), view.zone),
                                 FormatAge(row.began_ns(), view.now_ns)));
  lines.Add("ended", row.ended_ns() == 0 ? "not as far as is known"
                                         : FormatTime(row.ended_ns(), view.zone) +
                                               "; what it left running belongs to it all the same");
  if (row.audit_session() != kNotSet) {
    lines.Add("kernel", fmt::format("audit session {}, login uid {}", row.audit_session(),
                                    UidText(row.login_uid())));
  }
  if (row.failures_before() > 0) {
    lines.Add("before", fmt::format("{} failed attempts from this address within the hour",
                                    FormatCount(row.failures_before())));
  }
  for (const auto& link : row.links()) {
    lines.Add("link", fmt::format("{}: {} ({})", link.kind(), link.confidence(), link.reason()));
  }
  for (const auto& change : row.changes()) {
    lines.Add(
        "changed",
        fmt::format("{}: process {}: login uid from {} to {}, audit session from {} to {}",
                    FormatTime(change.at_ns(), view.zone), change.process_id(),
                    UidText(change.from_login_uid()), UidText(change.to_login_uid()),
                    UidText(change.from_audit_session()), UidText(change.to_audit_session())));
  }
  return lines.Take();
}

std::string MembersText(const v1::GetSessionResponse& answer, const View& view) {
  Table table({{"STARTED"},
               {"ENDED", false, 0, 2},
               {"PID", true},
               {"USER", false, 6, 3},
               {"PROCESS ID", false, 0, 4},
               {"BY", false, 0, 1},
               {"COMMAND", false, 12}});
  for (const auto& member : answer.processes()) {
    const v1::ProcessInfo& p = member.process();
    const std::int64_t began = std::max(p.start_ns(), p.exec_ns());
    table.Add({{began == 0 ? "-" : ShortTime(began, view)},
               {p.exit_ns() == 0 ? "-" : ShortTime(p.exit_ns(), view)},
               {std::to_string(p.pid())},
               {OrDash(p.user())},
               {p.process_id()},
               {member.by()},
               {CommandLineOf(p) + (p.forked() ? " [forked, no exec]" : "")}});
  }
  return table.Render(view);
}

}  // namespace

std::string RenderLogins(const std::vector<v1::LoginRow>& rows, const View& view) {
  Table table({{"TIME"},
               {"ENDED", false, 0, 3},
               {"HOST", false, 8, 2},
               {"KIND"},
               {"USER", false, 6},
               {"METHOD"},
               {"FROM"},
               {"FAILED BEFORE", true, 0, 1},
               {"SESSION"},
               {"SURE", false, 0, 4},
               {"KEY", false, 12}});
  for (const v1::LoginRow& row : rows) {
    table.Add({{ShortTime(row.at_ns(), view)},
               {row.ended_ns() == 0 ? "-" : ShortTime(row.ended_ns(), view)},
               {row.host()},
               {row.kind()},
               {OrDash(row.user()), StyleOf(row)},
               {MethodOf(row)},
               {EndOf(row.address(), row.port())},
               {FormatCount(row.failures_before()),
                row.failures_before() > 0 ? Style::kWarning : Style::kPlain},
               {row.session_id()},
               {WeakestOf(row)},
               {KeyOf(row)}});
  }
  return table.Render(view);
}

std::string RenderLoginFailures(const std::vector<v1::LoginFailureRow>& rows, const View& view) {
  Table table({{"MINUTE"},
               {"HOST", false, 8, 1},
               {"FROM"},
               {"USER", false, 8},
               {"METHOD"},
               {"COUNT", true}});
  for (const v1::LoginFailureRow& row : rows) {
    table.Add({{ShortTime(row.minute_ns(), view)},
               {row.host()},
               {row.address().empty() ? "(several)" : row.address()},
               {OrDash(row.user()) + (row.invalid_user() ? " (no such user)" : "")},
               {OrDash(row.method())},
               {FormatCount(row.count())}});
  }
  return table.Render(view);
}

std::string RenderSession(const v1::GetSessionResponse& answer,
                          const std::vector<v1::PostureChangeRow>& changes, const View& view) {
  std::string out = LoginText(answer.login(), view);
  const v1::FlowGroup& totals = answer.totals();
  Lines lines;
  if (answer.has_connection()) {
    lines.Add("connection", fmt::format("{} sent, {} received over SSH itself",
                                        FormatByteSize(answer.connection().tx_wire_bytes()),
                                        FormatByteSize(answer.connection().rx_wire_bytes())));
  }
  lines.Add("traffic", fmt::format("{} sent, {} received, {} flows, {} destinations{}",
                                   FormatByteSize(totals.tx_wire_bytes()),
                                   FormatByteSize(totals.rx_wire_bytes()),
                                   FormatCount(totals.flows()), FormatCount(totals.destinations()),
                                   answer.cut() ? ", of the first 10,000 processes" : ""));
  out += lines.Take() + "\n" + MembersText(answer, view);
  if (!changes.empty()) out += "\nIt changed of SSH:\n" + RenderPostureChanges(changes, view);
  if (answer.destinations_size() > 0) {
    out += "\n" + RenderGroups({answer.destinations().begin(), answer.destinations().end()},
                               "destination", view);
  }
  if (answer.flows_size() > 0) {
    out += "\n" + RenderFlows({answer.flows().begin(), answer.flows().end()}, view);
  }
  return out;
}

}  // namespace culprit::cli
