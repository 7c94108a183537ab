// SPDX-License-Identifier: Apache-2.0
#include "collector/audit/audit_chain.h"

#include <nlohmann/json.hpp>

#include "common/hex.h"
#include "common/sha256.h"

namespace culprit {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kHashMember = ",\"hash\":\"";
constexpr std::size_t kHashDigits = 64;

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string HashOf(std::string_view bytes) { return HexEncode(AsBytes(Sha256Of(bytes))); }

std::string TextOf(const Json& json, const char* name) {
  const auto at = json.find(name);
  return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
}

}  // namespace

std::string FirstAuditHash() { return std::string(kHashDigits, '0'); }

std::string WriteAuditLine(AuditEntry* entry) {
  const AuditEvent& event = entry->event;
  Json json;
  json["seq"] = entry->seq;
  json["time"] = FormatUtc(entry->time);
  json["time_ns"] = ToNs(entry->time);
  json["actor"] = event.actor.substr(0, kMaxAuditText);
  if (!event.role.empty()) json["role"] = event.role.substr(0, kMaxAuditText);
  if (!event.peer.empty()) json["peer"] = event.peer.substr(0, kMaxAuditText);
  json["action"] = event.action.substr(0, kMaxAuditText);
  json["result"] = event.result.substr(0, kMaxAuditText);
  if (!event.detail.empty()) json["detail"] = event.detail.substr(0, kMaxAuditDetail);
  json["prev"] = entry->prev;
  std::string line = Dump(json);
  line.pop_back();  // the brace
  entry->hash = HashOf(line);
  line += kHashMember;
  line += entry->hash;
  line += "\"}";
  return line;
}

Result<AuditEntry> ReadAuditLine(std::string_view line) {
  const std::size_t tail = kHashMember.size() + kHashDigits + 2;
  if (line.size() < tail || line.size() > kMaxAuditLine) return DataLoss("not a line of the log");
  const std::string_view body = line.substr(0, line.size() - tail);
  const std::string_view rest = line.substr(body.size());
  if (!rest.starts_with(kHashMember) || !rest.ends_with("\"}")) {
    return DataLoss("not a line of the log");
  }
  AuditEntry entry;
  entry.hash = std::string(rest.substr(kHashMember.size(), kHashDigits));
  if (entry.hash != HashOf(body)) return DataLoss("its hash is not that of its bytes");
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("seq") || !json["seq"].is_number_unsigned() ||
      !json.contains("time_ns") || !json["time_ns"].is_number_integer()) {
    return DataLoss("not a line of the log");
  }
  entry.seq = json["seq"].get<std::uint64_t>();
  entry.time = WallTimeFromNs(json["time_ns"].get<std::int64_t>());
  entry.prev = TextOf(json, "prev");
  entry.event = {TextOf(json, "actor"),  TextOf(json, "role"),   TextOf(json, "peer"),
                 TextOf(json, "action"), TextOf(json, "result"), TextOf(json, "detail")};
  return entry;
}

}  // namespace culprit
