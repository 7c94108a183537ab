// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "collector/cli/views.h"
#include "common/hex.h"
#include "common/text.h"

namespace culprit::cli {
namespace {

constexpr std::uint32_t kNotSet = 4'294'967'295;
constexpr std::size_t kHashDigits = 12;

template <class Texts>
std::string Joined(const Texts& texts, std::string_view between) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : std::string(between)) + text;
  return out;
}

std::string SeverityWord(std::uint32_t severity) {
  constexpr const char* kWords[] = {"info", "low", "medium", "high", "critical"};
  return severity < std::size(kWords) ? kWords[severity] : "?";
}

Style StyleOf(std::uint32_t severity) {
  if (severity >= 3) return Style::kBad;
  return severity == 2 ? Style::kWarning : Style::kPlain;
}

std::string Servers(const v1::Posture& posture, const View& view) {
  if (posture.servers().empty()) return FitLine("no SSH server listens", view) + "\n";
  Table table({{"LISTENS", false, 12},
               {"KIND"},
               {"PID", true},
               {"PROCESS ID", false, 0, 2},
               {"EXECUTABLE", false, 12},
               {"COMMAND", false, 12, 1}});
  for (const v1::SshServer& server : posture.servers()) {
    table.Add({{Joined(server.listens(), " ")},
               {server.kind()},
               {std::to_string(server.pid())},
               {server.process_id() == 0 ? "-" : HexId(server.process_id())},
               {server.exe() + (server.exe_deleted() ? " (deleted)" : ""),
                server.exe_deleted() ? Style::kBad : Style::kPlain},
               {server.command()}});
  }
  return table.Render(view);
}

// One line for what is the same from everywhere.
std::string Policy(const v1::Posture& posture, const View& view) {
  std::map<std::string, std::map<std::string, std::string>> users;  // user -> what -> from where
  for (const v1::SshPolicy& entry : posture.policy()) {
    const std::string what =
        entry.admitted() ? Joined(entry.methods(), ", ") + "; forwarding " + entry.forwarding()
                         : "refused";
    std::string& sources = users[entry.user()][what];
    sources += (sources.empty() ? "" : ", ") + entry.source();
  }
  if (users.empty()) return "";
  Table table({{"USER"}, {"FROM"}, {"MAY LOG IN BY", false, 12}});
  for (const auto& [user, ways] : users)
    for (const auto& [what, sources] : ways)
      table.Add({{user}, {ways.size() == 1 ? "everywhere" : sources}, {what}});
  return table.Render(view);
}

std::string Findings(const v1::Posture& posture, const View& view) {
  Table table({{"SEVERITY"}, {"CHECK"}, {"WHERE", false, 12, 1}, {"WHY", false, 20}});
  for (const v1::SshFinding& finding : posture.findings()) {
    if (finding.severity() == 0) continue;
    table.Add({{SeverityWord(finding.severity()), StyleOf(finding.severity())},
               {finding.id()},
               {finding.evidence().empty() ? "-" : finding.evidence(0)},
               {finding.reason()}});
  }
  return table.rows() == 0 ? FitLine("no check complains", view) + "\n" : table.Render(view);
}

std::string HashWord(const v1::PostureChangeRow::FileStateRow& state) {
  return state.sha256().empty() ? "-" : state.sha256().substr(0, kHashDigits);
}

std::string States(const v1::PostureChangeRow& change) {
  const auto& a = change.before();
  const auto& b = change.after();
  std::string out;
  const auto add = [&out](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  if (a.sha256() != b.sha256()) add(HashWord(a) + " -> " + HashWord(b));
  if (change.has_before() && change.has_after()) {
    if (a.mode() != b.mode()) add(fmt::format("mode {:04o} -> {:04o}", a.mode(), b.mode()));
    if (a.uid() != b.uid()) add(fmt::format("owner {} -> {}", a.uid(), b.uid()));
    if (a.immutable() != b.immutable()) add(b.immutable() ? "locked (+i)" : "unlocked (-i)");
    if (a.append_only() != b.append_only()) add(b.append_only() ? "locked (+a)" : "unlocked (-a)");
  }
  if (!change.listens().empty()) add("listens on " + Joined(change.listens(), " "));
  return out;
}

std::string WriterOf(const v1::PostureChangeRow& row) {
  if (row.pid() == 0) return "not known";
  std::string out = row.command_line().empty()
                        ? (row.comm().empty() ? "a process that is gone" : row.comm())
                        : row.command_line();
  out += fmt::format(" (pid {}", row.pid());
  if (!row.process_id().empty()) out += ", " + row.process_id();
  out += ")";
  if (!row.user().empty()) out += " as " + row.user();
  if (row.login_uid() != kNotSet) {
    out += ", logged in as " +
           (row.login_user().empty() ? std::to_string(row.login_uid()) : row.login_user());
  }
  if (row.audit_session() != kNotSet) out += fmt::format(", audit session {}", row.audit_session());
  if (row.confidence() == "near") out += "; touched it shortly before";
  if (row.confidence() == "one_of_several") out += "; the last of several";
  return out;
}

template <class Rows>
std::string Changes(const Rows& rows, const View& view) {
  std::string out;
  for (const v1::PostureChangeRow& row : rows) {
    out += FitLine(fmt::format("{}  {}  {}", ShortTime(row.at_ns(), view), row.kind(), row.path()),
                   view) +
           "\n";
    out += FitLine("  by    " + WriterOf(row), view) + "\n";
    if (const std::string states = States(row); !states.empty())
      out += FitLine("  what  " + states, view) + "\n";
    std::string_view rest = row.diff();
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      out += FitLine("        " + std::string(rest.substr(0, end)), view) + "\n";
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    if (row.diff_cut()) out += "        …\n";
  }
  return out;
}

}  // namespace

std::string RenderPosture(const v1::HostPosture& host, const View& view) {
  const v1::Posture& posture = host.posture();
  std::string out = FitLine(fmt::format("{}: {}, looked at {}", host.host(),
                                        posture.config_path().empty() ? "no configuration of sshd"
                                                                      : posture.config_path(),
                                        FormatAge(host.at_ns(), view.now_ns)),
                            view) +
                    "\n\n";
  out += Servers(posture, view);
  for (const std::string& part :
       {Policy(posture, view), Findings(posture, view),
        host.changes().empty() ? FitLine("nothing changed in this time", view) + "\n"
                               : Changes(host.changes(), view)})
    if (!part.empty()) out += "\n" + part;
  if (posture.limits().empty()) return out;
  out += "\n";
  for (const std::string& limit : posture.limits())
    out += FitLine("not seen: " + limit, view) + "\n";
  return out;
}

std::string RenderPostureChanges(const std::vector<v1::PostureChangeRow>& rows, const View& view) {
  return Changes(rows, view);
}

std::string RenderKeys(const std::vector<v1::KeyRow>& rows, const View& view) {
  Table table({{"HOST", false, 8},
               {"USER"},
               {"TAKEN"},
               {"TYPE", false, 0, 3},
               {"BITS", true, 0, 4},
               {"FINGERPRINT", false, 16},
               {"HOSTS", true},
               {"FILE", false, 12, 2},
               {"COMMENT", false, 8, 1}});
  for (const v1::KeyRow& row : rows) {
    const v1::AuthorizedKey& key = row.key();
    const std::string lock = key.immutable() ? " +i" : key.append_only() ? " +a" : "";
    table.Add({{row.host()},
               {key.user().empty() ? "(certificates)" : key.user()},
               {key.accepted() ? "yes" : "no: " + key.refused(),
                key.accepted() ? Style::kPlain : Style::kDim},
               {key.type().empty() ? "-" : key.type()},
               {key.bits() == 0 ? "-" : std::to_string(key.bits())},
               {key.fingerprint().empty() ? "-" : key.fingerprint()},
               {FormatCount(row.hosts()), row.hosts() > 1 ? Style::kWarning : Style::kPlain},
               {fmt::format("{}:{}{}", key.path(), key.line(), lock),
                lock.empty() ? Style::kPlain : Style::kBad},
               {key.comment()}});
  }
  return table.Render(view);
}

}  // namespace culprit::cli
