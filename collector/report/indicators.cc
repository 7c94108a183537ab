// SPDX-License-Identifier: Apache-2.0
// What to look for elsewhere: addresses, hashes and keys of the incident, as a table and as
// STIX 2.1. Identifiers follow from the pattern, so that two reports of one incident name the same
// objects.
#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "collector/report/outline.h"
#include "common/hex.h"
#include "common/net_address.h"
#include "common/sha256.h"

namespace culprit::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxAddresses = 500;

struct Indicator {
  std::string kind, value, pattern, why;
  std::int64_t first_ns = 0;
};

// A value within the quotes of a pattern.
std::string Quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

class Indicators {
 public:
  void Address(const std::string& address, const std::string& why, std::int64_t first_ns) {
    const auto parsed = IpAddress::Parse(address);
    if (!parsed || !parsed->IsPublic() || list_.size() >= kMaxAddresses) return;
    const std::string type = parsed->IsV4() ? "ipv4-addr" : "ipv6-addr";
    Add({"address", parsed->ToString(), "[" + type + ":value = " + Quoted(parsed->ToString()) + "]",
         why, first_ns});
  }
  void Key(const std::string& fingerprint, const std::string& why, std::int64_t first_ns) {
    if (!fingerprint.empty())
      Add({"ssh key", fingerprint, "[x-ssh-key:fingerprint = " + Quoted(fingerprint) + "]", why,
           first_ns});
  }
  // Programs of the system are run by everybody: their hashes find nothing.
  void Program(const v1::ProcessInfo& p) {
    const bool system = p.exe().starts_with("/usr/bin/") || p.exe().starts_with("/usr/sbin/") ||
                        p.exe().starts_with("/usr/lib") || p.exe().starts_with("/bin/") ||
                        p.exe().starts_with("/sbin/");
    if (p.exe_sha256().empty() || (system && !p.exe_memfd())) return;
    Add({"sha-256", p.exe_sha256(), "[file:hashes.'SHA-256' = " + Quoted(p.exe_sha256()) + "]",
         p.exe(), p.start_ns()});
  }
  const std::vector<Indicator>& list() const { return list_; }

 private:
  void Add(Indicator indicator) {
    if (known_.insert(indicator.pattern).second) list_.push_back(std::move(indicator));
  }

  std::vector<Indicator> list_;
  std::set<std::string> known_;
};

std::vector<Indicator> IndicatorsOf(const Incident& incident) {
  Indicators out;
  for (const v1::GetSessionResponse& session : incident.sessions) {
    const v1::LoginRow& login = session.login();
    out.Key(login.key_fingerprint(), "opened the session of " + login.user(), login.at_ns());
    out.Address(login.address(), "login of " + login.user(), login.at_ns());
  }
  for (const v1::GetProcessResponse& answer : incident.processes) {
    out.Program(answer.process());
    for (const v1::ProcessInfo& child : answer.children()) out.Program(child);
  }
  for (const v1::Finding& finding : incident.findings)
    for (const v1::Target& target : finding.targets())
      out.Address(target.address(), "target of " + finding.rule(), finding.first_ns());
  for (const v1::FlowGroup& group : incident.destinations.groups())
    out.Address(group.key(), "destination", group.first_ns());
  return out.list();
}

// Version 8 of RFC 9562: the rest is of the hash.
std::string IdOf(const std::string& type, const std::string& seed) {
  const Sha256Digest digest = Sha256Of("culprit " + type + " " + seed);
  std::string hex = HexEncode(AsBytes(digest)).substr(0, 32);
  hex[12] = '8';
  hex[16] = "89ab"[static_cast<unsigned>(digest[8]) & 3U];
  return type + "--" + hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" +
         hex.substr(16, 4) + "-" + hex.substr(20, 12);
}

}  // namespace

Section IndicatorSection(const Incident& incident) {
  Section section{"Indicators of compromise", {}};
  Grid grid{{"Kind", "Value", "Why", "First seen"}, {}, {}};
  for (const Indicator& indicator : IndicatorsOf(incident))
    grid.rows.push_back({indicator.kind, indicator.value, indicator.why, At(indicator.first_ns)});
  if (grid.rows.empty()) {
    section.blocks.push_back(Paragraph{"None: no public address, key or program of its own."});
    return section;
  }
  section.blocks.emplace_back(std::move(grid));
  section.blocks.push_back(Paragraph{"For programs, as STIX 2.1:"});
  section.blocks.emplace_back(Verbatim{IndicatorsJson(incident)});
  return section;
}

std::string IndicatorsJson(const Incident& incident) {
  const std::string made = At(incident.made_ns);
  Json objects = Json::array();
  std::string all;
  for (const Indicator& indicator : IndicatorsOf(incident)) {
    all += indicator.pattern;
    const std::int64_t first = indicator.first_ns == 0 ? incident.made_ns : indicator.first_ns;
    objects.push_back({{"type", "indicator"},
                       {"spec_version", "2.1"},
                       {"id", IdOf("indicator", indicator.pattern)},
                       {"created", made},
                       {"modified", made},
                       {"name", indicator.kind + " " + indicator.value},
                       {"description", indicator.why},
                       {"indicator_types", {"compromised"}},
                       {"pattern", indicator.pattern},
                       {"pattern_type", "stix"},
                       {"valid_from", At(first)}});
  }
  const Json bundle = {{"type", "bundle"}, {"id", IdOf("bundle", all)}, {"objects", objects}};
  return bundle.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace culprit::report
