// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "agent/posture/posture.h"
#include "agent/posture/posture_watcher.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxText = 1'024;
constexpr std::size_t kMaxKeys = 5'000, kMaxFindings = 500, kMaxPolicy = 3'000, kMaxServers = 256;
constexpr std::size_t kMaxList = 64, kMaxFiles = 500;

std::string Cut(const std::string& text) { return text.substr(0, kMaxText); }

std::vector<std::string> Cut(const std::vector<std::string>& texts, std::size_t limit) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < std::min(limit, texts.size()); ++i) out.push_back(Cut(texts[i]));
  return out;
}

std::vector<std::string> ListensOf(const SshServer& server) {
  std::vector<std::string> out;
  for (const Endpoint& endpoint : server.listens)
    if (out.size() < kMaxList) out.push_back(endpoint.ToString());
  return out;
}

SshFindingFacts FactsOf(const PostureFinding& finding) {
  SshFindingFacts out;
  out.id = finding.id;
  out.severity = static_cast<std::uint32_t>(finding.severity);
  out.reason = Cut(finding.reason);
  for (const PostureEvidence& evidence : finding.evidence) {
    if (out.evidence.size() == kMaxList) break;
    const Origin& at = evidence.origin;
    const std::string place = at.line == 0 && !at.IsDefault() ? at.file : at.ToString();
    out.evidence.push_back(Cut(place + (evidence.text.empty() ? "" : "  " + evidence.text)));
  }
  out.contexts = Cut(finding.contexts, kMaxList);
  out.fix = Cut(finding.fix.text.empty() ? finding.fix.note : finding.fix.text);
  return out;
}

AuthorizedKeyFacts FactsOf(const KeyRecord& key) {
  AuthorizedKeyFacts out;
  out.user = Cut(key.user);
  out.path = Cut(key.path);
  out.line = key.line;
  out.type = Cut(key.type);
  out.bits = key.bits;
  out.fingerprint = key.fingerprint;
  out.comment = Cut(key.comment);
  out.options = Cut(key.options);
  out.accepted = key.accepted;
  out.refused = Cut(key.refused);
  out.kind = std::string(KeyKindName(key.kind));
  out.immutable = key.immutable;
  out.append_only = key.append_only;
  return out;
}

}  // namespace

PostureFacts FactsOf(const PostureReport& report) {
  PostureFacts out;
  out.config_path = Cut(report.config_path);
  out.files = Cut(report.files, kMaxFiles);
  out.limits = Cut(report.limits, kMaxList);
  const auto cut = [&out](std::size_t have, std::size_t limit, const char* what) {
    if (have > limit)
      out.limits.push_back(std::to_string(have - limit) + " more " + what + " are not told");
    return std::min(have, limit);
  };
  for (std::size_t i = 0; i < cut(report.servers.size(), kMaxServers, "servers"); ++i) {
    const SshServer& server = report.servers[i];
    out.servers.push_back(
        {std::string(ServerKindName(server.kind)), static_cast<std::uint32_t>(server.pid),
         Cut(server.exe), server.exe_deleted, Cut(server.command), ListensOf(server), ProcessId{}});
  }
  for (std::size_t i = 0; i < cut(report.policy.size(), kMaxPolicy, "users"); ++i) {
    const PolicyEntry& entry = report.policy[i];
    out.policy.push_back({Cut(entry.user), std::string(SourceClassName(entry.source)),
                          entry.admitted, Cut(entry.methods, kMaxList), Cut(entry.forwarding)});
  }
  for (std::size_t i = 0; i < cut(report.findings.size(), kMaxFindings, "findings"); ++i)
    out.findings.push_back(FactsOf(report.findings[i]));
  for (std::size_t i = 0; i < cut(report.keys.size(), kMaxKeys, "keys"); ++i)
    out.keys.push_back(FactsOf(report.keys[i]));
  return out;
}

std::vector<PostureChangeFacts> CompareServers(const PostureFacts& before,
                                               const PostureFacts& after) {
  std::vector<PostureChangeFacts> changes;
  const auto missing = [&changes](const PostureFacts& from, const PostureFacts& in,
                                  PostureChangeKind kind) {
    for (const SshServerFacts& server : from.servers) {
      const bool known = std::any_of(in.servers.begin(), in.servers.end(), [&](const auto& other) {
        return other.pid == server.pid && other.exe == server.exe &&
               other.listens == server.listens;
      });
      if (known) continue;
      PostureChangeFacts change;
      change.kind = kind;
      change.path = server.exe;
      change.pid = server.pid;
      change.confidence = WriterConfidence::kNamed;
      change.listens = server.listens;
      changes.push_back(std::move(change));
    }
  };
  missing(after, before, PostureChangeKind::kServerStarted);
  missing(before, after, PostureChangeKind::kServerEnded);
  return changes;
}

}  // namespace culprit
