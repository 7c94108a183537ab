// SPDX-License-Identifier: Apache-2.0
// The page for a person. Everything that a file of the host says is escaped.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "agent/posture/drop_in.h"
#include "agent/ssh_check.h"
#include "common/text.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxShown = 12;

std::string Join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : std::string(separator)) + part;
  return text;
}

// "alice; bob from public, private": a user from every source stands without them.
std::string ContextsText(const std::vector<std::string>& contexts) {
  std::map<std::string, std::vector<std::string>> by_user;
  for (const std::string& context : contexts) {
    const std::size_t from = context.find(" from ");
    auto& sources = by_user[context.substr(0, from)];
    if (from != std::string::npos) sources.push_back(context.substr(from + 6));
  }
  std::vector<std::string> parts;
  for (const auto& [user, sources] : by_user) {
    if (parts.size() == kMaxShown) {
      parts.push_back(fmt::format("{} more", by_user.size() - kMaxShown));
      break;
    }
    const bool all =
        sources.empty() || (std::count(sources.begin(), sources.end(), "public") > 0 &&
                            std::count(sources.begin(), sources.end(), "private") > 0 &&
                            std::count(sources.begin(), sources.end(), "loopback") > 0);
    parts.push_back(all ? user : user + " from " + Join(sources, ", "));
  }
  return EscapeText(Join(parts, "; "));
}

void Lines(std::string_view title, const std::string& text, std::string* out) {
  std::size_t at = 0;
  for (bool first = true; at <= text.size(); first = false) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    *out += fmt::format("    {:<9}{}\n", first ? title : "", EscapeText(text.substr(at, end - at)));
    at = end + 1;
  }
}

void FindingText(const PostureFinding& finding, std::string* out) {
  *out += fmt::format("  {}: {}\n", finding.id, EscapeText(finding.reason));
  for (const PostureEvidence& evidence : finding.evidence)
    Lines("at", evidence.origin.ToString() + "  " + evidence.text, out);
  if (!finding.contexts.empty()) Lines("for", ContextsText(finding.contexts), out);
  if (!finding.fix.text.empty()) Lines("fix", finding.fix.text, out);
  if (!finding.fix.note.empty()) Lines("note", finding.fix.note, out);
}

std::string EntryText(const PolicyEntry& entry) {
  if (!entry.admitted) return "refused: " + entry.refused_by;
  std::string text = Join(entry.methods, ", ");
  if (text.empty()) text = "no method";
  text += "; forwarding " + entry.forwarding;
  if (!entry.forced_command.empty()) text += "; only " + entry.forced_command;
  return text;
}

void PolicyText(const std::vector<PolicyEntry>& policy, std::string* out) {
  *out += "\nWho may log in, and how\n";
  // By user: what holds, and from where.
  std::vector<std::pair<std::string, std::map<std::string, std::vector<std::string>>>> users;
  for (const PolicyEntry& entry : policy) {
    if (users.empty() || users.back().first != entry.user) users.push_back({entry.user, {}});
    auto& sources = users.back().second[EntryText(entry)];
    const std::string source(SourceClassName(entry.source));
    const bool known = std::find(sources.begin(), sources.end(), source) != sources.end();
    if (!known) sources.push_back(source);
  }
  for (const auto& [user, ways] : users) {
    for (const auto& [way, sources] : ways) {
      const std::string from = ways.size() == 1 ? "everywhere" : Join(sources, ", ");
      *out += fmt::format("  {:<16} {:<26} {}\n", EscapeText(user), from, EscapeText(way));
    }
  }
  if (users.empty()) *out += "  no account has a shell\n";
}

void KeysText(const PostureReport& report, std::string* out) {
  *out += "\nKeys that open accounts\n";
  for (const KeyRecord& key : report.keys) {
    std::string user = key.user.empty() ? "(any user)" : key.user;
    if (key.kind != KeyRecord::Kind::kUserKey) user += " by certificate";
    const std::string what = key.fingerprint.empty()
                                 ? "no key"
                                 : fmt::format("{} {} {}", key.type, key.bits, key.fingerprint);
    *out += fmt::format("  {:<16} {}  {}\n", EscapeText(user), what, EscapeText(key.comment));
    std::string place = fmt::format("{}:{}", key.path, key.line);
    if (!key.options.empty()) place += "  " + key.options;
    if (!key.refused.empty()) place += "  not accepted: " + key.refused;
    *out += fmt::format("  {:<16} {}\n", "", EscapeText(place));
  }
  if (report.keys.empty()) *out += "  none\n";
}

void ServersText(const PostureReport& report, std::string* out) {
  *out += "\nWhat listens\n";
  if (!report.live) *out += "  not looked at: the host does not run\n";
  if (report.live && report.servers.empty()) *out += "  no SSH server\n";
  for (const SshServer& server : report.servers) {
    std::string addresses;
    for (const Endpoint& endpoint : server.listens) addresses += " " + endpoint.ToString();
    *out += fmt::format("  {:<12} pid {:<8} {}{} on{}\n", ServerKindName(server.kind), server.pid,
                        EscapeText(server.exe), server.exe_deleted ? " (deleted)" : "", addresses);
  }
}

void FixesText(const PostureReport& report, std::string* out) {
  const std::string fixes = AllFixes(report.findings);
  if (fixes.empty()) return;
  *out += fmt::format(
      "\nThe fixes in one: put them at the beginning of {}, so that sshd reads them first,\nleave "
      "out what you need, then sshd -t and a reload. Keep a session open meanwhile.\n",
      report.drop_in);
  if (!report.drop_in_note.empty()) *out += EscapeText(report.drop_in_note) + ".\n";
  Lines("", fixes.substr(0, fixes.size() - 1), out);
}

}  // namespace

std::string FormatPostureText(const PostureReport& report) {
  std::string out = fmt::format("SSH posture of {} ({} files read)\n",
                                EscapeText(report.config_path), report.files.size());
  for (const std::string& limit : report.limits) out += "limited: " + EscapeText(limit) + "\n";
  bool any = false;
  Severity group = Severity::kCritical;
  for (const PostureFinding& finding : report.findings) {
    if (!any || finding.severity != group)
      out += fmt::format("\n{}\n", SeverityName(finding.severity));
    any = true;
    group = finding.severity;
    FindingText(finding, &out);
  }
  PolicyText(report.policy, &out);
  KeysText(report, &out);
  ServersText(report, &out);
  FixesText(report, &out);
  return out;
}

}  // namespace culprit
