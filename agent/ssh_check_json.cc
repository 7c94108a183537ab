// SPDX-License-Identifier: Apache-2.0
// The forms for programs: JSON of our own, and SARIF 2.1.0 for what collects findings of scanners.
#include <array>
#include <set>

#include "agent/json_writer.h"
#include "agent/ssh_check.h"

namespace culprit {
namespace {

void List(JsonWriter& json, std::string_view name, const std::vector<std::string>& values) {
  json.Key(name).Open('[');
  for (const std::string& value : values) json.Text(value);
  json.Close(']');
}

void FindingJson(JsonWriter& json, const PostureFinding& finding) {
  json.Open('{');
  json.Field("id", finding.id);
  json.Field("severity", SeverityName(finding.severity));
  json.Field("reason", finding.reason);
  json.Key("evidence").Open('[');
  for (const PostureEvidence& evidence : finding.evidence) {
    json.Open('{');
    json.Field("file", evidence.origin.IsDefault() ? "default" : evidence.origin.file);
    json.Field("line", evidence.origin.line);
    json.Field("text", evidence.text);
    json.Close('}');
  }
  json.Close(']');
  List(json, "contexts", finding.contexts);
  json.Field("fix", finding.fix.text);
  json.Field("note", finding.fix.note);
  json.Close('}');
}

void PolicyJson(JsonWriter& json, const PolicyEntry& entry) {
  json.Open('{');
  json.Field("user", entry.user);
  json.Field("source", SourceClassName(entry.source));
  json.Field("address", entry.address);
  json.FlagField("admitted", entry.admitted);
  json.Field("refused_by", entry.refused_by);
  List(json, "methods", entry.methods);
  json.Field("tcp_forwarding", entry.forwarding);
  json.Field("forced_command", entry.forced_command);
  json.Close('}');
}

void ServerJson(JsonWriter& json, const SshServer& server) {
  json.Open('{');
  json.Field("kind", ServerKindName(server.kind));
  json.Field("pid", static_cast<std::uint64_t>(server.pid));
  json.Field("exe", server.exe);
  json.FlagField("exe_deleted", server.exe_deleted);
  json.FlagField("in_container", server.own_root);
  json.Field("command", server.command);
  json.Key("start_ns").Signed(server.start_ns);
  json.Key("listens").Open('[');
  for (const Endpoint& endpoint : server.listens) json.Text(endpoint.ToString());
  json.Close(']').Close('}');
}

void KeyJson(JsonWriter& json, const KeyRecord& key) {
  json.Open('{');
  json.Field("kind", KeyKindName(key.kind));
  json.Field("user", key.user);
  json.Field("file", key.path);
  json.Field("line", key.line);
  json.Field("type", key.type);
  json.Field("bits", key.bits);
  json.Field("fingerprint", key.fingerprint);
  json.Field("comment", key.comment);
  json.Field("options", key.options);
  json.FlagField("accepted", key.accepted);
  json.Field("refused", key.refused);
  json.Field("principals", key.principals);
  json.Field("owner_uid", key.owner_uid);
  json.Field("mode", key.mode);
  json.FlagField("immutable", key.immutable);
  json.FlagField("append_only", key.append_only);
  json.Key("mtime_ns").Signed(key.mtime_ns);
  json.Close('}');
}

void PrivateJson(JsonWriter& json, const PrivateKeyRecord& key) {
  json.Open('{');
  json.Field("user", key.user);
  json.Field("file", key.path);
  json.Field("type", key.type);
  json.Field("fingerprint", key.fingerprint);
  json.FlagField("encrypted", key.encrypted);
  json.Field("owner_uid", key.owner_uid);
  json.Field("mode", key.mode);
  json.Close('}');
}

std::string_view SarifLevel(Severity severity) {
  if (severity >= Severity::kHigh) return "error";
  return severity >= Severity::kLow ? "warning" : "note";
}

// A number of 0 to 10, by which collectors of SARIF sort.
std::string_view SarifScore(Severity severity) {
  constexpr std::array<std::string_view, 5> kScores = {"0.0", "3.0", "5.5", "8.0", "9.5"};
  return kScores.at(static_cast<std::size_t>(severity));
}

std::string FileUri(const std::string& path) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string uri = "file://";
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("/-._~").find(c) != std::string_view::npos;
    if (plain)
      uri += c;
    else
      uri.append({'%', kHex[byte >> 4U], kHex[byte & 15U]});
  }
  return uri;
}

void SarifLocation(JsonWriter& json, const PostureEvidence& evidence) {
  json.Open('{');
  if (evidence.origin.file.empty() || evidence.origin.file[0] != '/') {
    json.Key("logicalLocations").Open('[').Open('{');
    json.Field("name", evidence.origin.ToString());
    json.Close('}').Close(']');
  } else {
    json.Key("physicalLocation").Open('{').Key("artifactLocation").Open('{');
    json.Field("uri", FileUri(evidence.origin.file));
    json.Close('}');
    if (evidence.origin.line > 0) {
      json.Key("region").Open('{');
      json.Field("startLine", evidence.origin.line);
      json.Key("snippet").Open('{');
      json.Field("text", evidence.text);
      json.Close('}').Close('}');
    }
    json.Close('}');
  }
  json.Key("message").Open('{');
  json.Field("text", evidence.text.empty() ? evidence.origin.ToString() : evidence.text);
  json.Close('}').Close('}');
}

void SarifResult(JsonWriter& json, const PostureFinding& finding) {
  std::string message = finding.reason;
  if (!finding.fix.text.empty()) message += ". Fix, to be read first: " + finding.fix.text;
  if (!finding.fix.note.empty()) message += ". Note: " + finding.fix.note;
  json.Open('{');
  json.Field("ruleId", finding.id);
  json.Field("level", SarifLevel(finding.severity));
  json.Key("message").Open('{');
  json.Field("text", message);
  json.Close('}').Key("locations").Open('[');
  for (const PostureEvidence& evidence : finding.evidence) SarifLocation(json, evidence);
  json.Close(']').Key("properties").Open('{');
  json.Field("severity", SeverityName(finding.severity));
  json.Field("security-severity", SarifScore(finding.severity));
  List(json, "contexts", finding.contexts);
  json.Close('}').Close('}');
}

}  // namespace

std::string FormatPostureJson(const PostureReport& report) {
  JsonWriter json;
  json.Open('{');
  json.Field("config", report.config_path);
  json.Field("worst", SeverityName(report.Worst()));
  json.FlagField("live", report.live);
  List(json, "files", report.files);
  List(json, "limits", report.limits);
  json.Field("drop_in", report.drop_in);
  json.Field("drop_in_note", report.drop_in_note);
  json.Key("findings").Open('[');
  for (const PostureFinding& finding : report.findings) FindingJson(json, finding);
  json.Close(']').Key("policy").Open('[');
  for (const PolicyEntry& entry : report.policy) PolicyJson(json, entry);
  json.Close(']').Key("keys").Open('[');
  for (const KeyRecord& key : report.keys) KeyJson(json, key);
  json.Close(']').Key("private_keys").Open('[');
  for (const PrivateKeyRecord& key : report.private_keys) PrivateJson(json, key);
  json.Close(']').Key("servers").Open('[');
  for (const SshServer& server : report.servers) ServerJson(json, server);
  json.Close(']').Close('}');
  return std::move(json).Take() + "\n";
}

std::string FormatPostureSarif(const PostureReport& report, const std::string& version) {
  JsonWriter json;
  json.Open('{');
  json.Field("$schema", "https://json.schemastore.org/sarif-2.1.0.json");
  json.Field("version", "2.1.0");
  json.Key("runs").Open('[').Open('{').Key("tool").Open('{').Key("driver").Open('{');
  json.Field("name", "culprit-agent ssh-check");
  json.Field("version", version);
  json.Key("rules").Open('[');
  std::set<std::string> seen;
  for (const PostureFinding& finding : report.findings) {
    if (!seen.insert(finding.id).second) continue;
    json.Open('{');
    json.Field("id", finding.id);
    json.Close('}');
  }
  json.Close(']').Close('}').Close('}').Key("results").Open('[');
  for (const PostureFinding& finding : report.findings) SarifResult(json, finding);
  json.Close(']').Close('}').Close(']').Close('}');
  return std::move(json).Take() + "\n";
}

}  // namespace culprit
