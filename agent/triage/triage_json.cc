// SPDX-License-Identifier: Apache-2.0
// The document for a program: names as in triage_report.h, times as ns since 1970, texts escaped as
// they are for a terminal.
#include <nlohmann/json.hpp>

#include "agent/triage/triage_report.h"
#include "common/hex.h"
#include "common/text.h"

namespace culprit {
namespace {

using Json = nlohmann::ordered_json;

Json Texts(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const std::string& text : texts) list.push_back(EscapeText(text));
  return list;
}

Json LoginJson(const TriageLogin& told) {
  constexpr const char* kKinds[] = {"unknown",          "ssh",  "console", "ssm",
                                    "instance_connect", "other"};
  constexpr const char* kLinks[] = {"unknown", "flow", "process", "audit"};
  constexpr const char* kSure[] = {"unknown", "low", "medium", "high"};
  const LoginFacts& login = told.login;
  Json json;
  const auto kind = static_cast<std::size_t>(login.kind);
  json["kind"] = kKinds[kind < std::size(kKinds) ? kind : 0];
  json["user"] = EscapeText(login.user);
  json["address"] = login.from ? login.from->address.ToString() : "";
  json["port"] = login.from ? login.from->port : 0;
  json["method"] = EscapeText(login.method);
  json["key_type"] = EscapeText(login.key_type);
  json["key_fingerprint"] = EscapeText(login.key_fingerprint);
  json["key_found_at"] = EscapeText(login.key_found_at);
  json["principal"] = EscapeText(login.principal);
  json["failures_before"] = login.failures_before;
  json["at_ns"] = told.at_ns;
  json["over"] = told.ended;
  json["by"] = told.by;
  json["audit_session"] = told.session && told.session->audit_session != kNoSession
                              ? Json(told.session->audit_session)
                              : Json();
  Json& links = json["links"] = Json::array();
  if (!told.session) return json;
  for (const SessionLinkFacts& link : told.session->links) {
    const auto what = static_cast<std::size_t>(link.kind);
    const auto sure = static_cast<std::size_t>(link.confidence);
    links.push_back({{"kind", kLinks[what < std::size(kLinks) ? what : 0]},
                     {"confidence", kSure[sure < std::size(kSure) ? sure : 0]},
                     {"reason", EscapeText(link.reason)}});
  }
  return json;
}

Json DestinationJson(const TriageDestination& to) {
  return {{"protocol", to.protocol},
          {"direction", to.direction},
          {"remote", to.remote},
          {"flows", to.flows},
          {"open", to.open},
          {"older_than_watch", to.older},
          {"failed", to.failed},
          {"tx_bytes", to.tx_bytes},
          {"rx_bytes", to.rx_bytes},
          {"tx_payload_bytes", to.tx_payload_bytes},
          {"rx_payload_bytes", to.rx_payload_bytes},
          {"first_ns", to.first_ns},
          {"last_ns", to.last_ns}};
}

Json ProcessJson(const TriageProcess& process) {
  const ProcessFacts& facts = process.facts;
  Json json;
  json["pid"] = facts.key.tgid.value();
  json["command"] = EscapeText(CommandOf(facts));
  json["arguments"] = Texts(facts.argv);
  json["exe"] = EscapeText(facts.exe);
  json["sha256"] = facts.exe_sha256 ? HexEncode(AsBytes(*facts.exe_sha256)) : "";
  json["deleted"] = facts.exe_deleted;
  json["memory"] = facts.exe_memfd;
  json["uid"] = facts.uid.value();
  json["user"] = EscapeText(facts.user);
  json["login_user"] = EscapeText(facts.login_user);
  json["container"] = EscapeText(facts.container_id);
  json["older_than_watch"] = facts.preexisting;
  json["ended"] = process.ended;
  json["ancestry"] = Texts(process.ancestry);
  json["login"] = process.login ? LoginJson(*process.login) : Json();
  json["tx_bytes"] = process.tx_bytes;
  json["rx_bytes"] = process.rx_bytes;
  json["tx_bytes_before"] = process.tx_before;
  json["rx_bytes_before"] = process.rx_before;
  json["loopback_tx_bytes"] = process.local_tx_bytes;
  json["attempts"] = process.attempts;
  json["failed_attempts"] = process.failed_attempts;
  json["crafted_packets"] = process.crafted_packets;
  json["listens"] = Texts(process.listens);
  Json& list = json["destinations"] = Json::array();
  for (const TriageDestination& to : process.destinations) list.push_back(DestinationJson(to));
  json["more_destinations"] = process.more_destinations;
  return json;
}

Json KeyJson(const TriageKey& key) {
  return {{"user", EscapeText(key.user)},       {"type", EscapeText(key.type)},
          {"fingerprint", key.fingerprint},     {"comment", EscapeText(key.comment)},
          {"options", EscapeText(key.options)}, {"place", EscapeText(key.place)},
          {"accepted", key.accepted},           {"locked", key.locked},
          {"changed_ns", key.changed_ns}};
}

}  // namespace

std::string TriageJson(const TriageReport& report) {
  Json json;
  json["tool"] = report.tool;
  json["host"] = EscapeText(report.host);
  json["instance"] = EscapeText(report.instance);
  json["os"] = EscapeText(report.os);
  json["kernel"] = EscapeText(report.kernel);
  json["root"] = EscapeText(report.root);
  json["watched"] = report.watched;
  json["began_ns"] = report.began_ns;
  json["ended_ns"] = report.ended_ns;
  json["verdict"] = EscapeText(TriageVerdict(report));
  Json& facts = json["facts"] = Json::array();
  for (const TriageFact& fact : report.facts)
    facts.push_back({{"kind", fact.kind}, {"pid", fact.pid}, {"text", EscapeText(fact.text)}});
  Json& processes = json["processes"] = Json::array();
  for (const TriageProcess& process : report.processes) processes.push_back(ProcessJson(process));
  json["more_processes"] = report.more_processes;
  Json& logins = json["logins"] = Json::array();
  for (const TriageLogin& login : report.logins) logins.push_back(LoginJson(login));
  json["failed_attempts"] = report.failed_attempts;
  Json& failures = json["failures"] = Json::array();
  for (const TriageFailures& row : report.failures)
    failures.push_back({{"address", EscapeText(row.address)},
                        {"user", EscapeText(row.user)},
                        {"count", row.count}});
  Json& keys = json["keys"] = Json::array();
  for (const TriageKey& key : report.keys) keys.push_back(KeyJson(key));
  json["gaps"] = Texts(report.gaps);
  json["bundle"] = EscapeText(report.bundle);
  json["bundle_sha256"] = report.bundle_sha256;
  json["bundle_bytes"] = report.bundle_bytes;
  json["bundle_key"] = report.bundle_key;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace culprit
