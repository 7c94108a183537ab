// SPDX-License-Identifier: Apache-2.0
#include "collector/alert_config.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <set>

#include "collector/alert/alert_body.h"
#include "collector/alert/syslog_address.h"
#include "collector/alert/target_files.h"
#include "collector/config_text.h"
#include "collector/detect/rules.h"
#include "common/text.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMaxTargets = 16, kMaxName = 32;
const std::vector<std::string> kKinds = {"webhook", "syslog", "command"};
const std::vector<std::string> kFormats = {"culprit", "slack", "ocsf", "ecs"};
const std::vector<std::string> kEvents = {"opened", "raised", "closed"};
const std::vector<std::string> kSeverities = {"low", "medium", "high", "critical"};

// The first is SEVERITY_LOW = 1.
v1::Severity SeverityOf(const std::string& word) {
  const auto at = std::find(kSeverities.begin(), kSeverities.end(), word);
  return static_cast<v1::Severity>(at - kSeverities.begin() + 1);
}

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

// One [[alert]] table: keys are asked for below its own name.
class Table {
 public:
  Table(TomlReader& toml, std::size_t index)
      : toml_(toml), prefix_(fmt::format("alert[{}].", index)) {}

  AlertTarget Read() {
    AlertTarget t;
    std::string severity = "medium";
    toml_.String(Key("name"), t.name);
    toml_.Choice(Key("kind"), t.kind, kKinds);
    toml_.Choice(Key("min_severity"), severity, kSeverities);
    t.min_severity = SeverityOf(severity);
    toml_.Strings(Key("rules"), t.rules);
    toml_.Strings(Key("hosts"), t.hosts);
    toml_.Strings(Key("events"), t.events);
    toml_.String(Key("url"), t.url);
    toml_.Path(Key("url_file"), t.url_file);
    toml_.Path(Key("secret_file"), t.secret_file);
    toml_.Path(Key("ca_file"), t.ca_file);
    toml_.Path(Key("certificate_file"), t.certificate_file);
    toml_.Path(Key("key_file"), t.key_file);
    toml_.String(Key("proxy"), t.proxy);
    toml_.Choice(Key("format"), t.format, kFormats);
    toml_.String(Key("address"), t.address);
    toml_.Choice(Key("facility"), t.facility, SyslogFacilities());
    toml_.Strings(Key("command"), t.command);
    toml_.Duration(Key("timeout"), t.timeout, milliseconds(100), seconds(60));
    toml_.Duration(Key("retry_max"), t.retry_max, seconds(1), seconds(3600));
    toml_.Uint32(Key("max_queued"), t.max_queued, 10, 100'000);
    Check(t);
    return t;
  }

 private:
  std::string Key(const char* name) const { return prefix_ + name; }
  void Error(const char* key, const std::string& message) { toml_.AddError(Key(key), message); }

  void Check(const AlertTarget& t) {
    if (!IsName(t.name))
      Error("name", fmt::format("expected 1 to {} of a-z, 0-9 and -, found \"{}\"", kMaxName,
                                EscapeText(t.name)));
    if (t.kind.empty()) Error("kind", "missing: \"webhook\", \"syslog\" or \"command\"");
    CheckWords("events", t.events, kEvents);
    std::vector<std::string> rules;
    for (const Rule& rule : AllRules()) rules.emplace_back(rule.name);
    CheckWords("rules", t.rules, rules);
    CheckKind(t);
  }

  void CheckWords(const char* key, const std::vector<std::string>& given,
                  const std::vector<std::string>& known) {
    for (const std::string& word : given) {
      if (std::find(known.begin(), known.end(), word) != known.end()) continue;
      const std::string nearest = NearestMatch(word, known);
      Error(key,
            fmt::format("\"{}\" is none of them{}", EscapeText(word),
                        nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest)));
    }
  }

  void CheckKind(const AlertTarget& t) {
    const bool webhook = t.kind == "webhook", syslog = t.kind == "syslog",
               command = t.kind == "command";
    const auto address = ParseSyslogAddress(t.address);
    const bool tls = syslog && address && address->transport == SyslogAddress::Transport::kTls;
    for (const char* key : {"url", "url_file", "secret_file", "proxy"}) {
      if (!webhook) RefuseKey(key, t.kind);
    }
    for (const char* key : {"certificate_file", "key_file"}) {
      if (!tls) RefuseKey(key, syslog ? "syslog\" without \"tls://" : t.kind);
    }
    if (!webhook && !tls) RefuseKey("ca_file", syslog ? "syslog\" without \"tls://" : t.kind);
    if (t.certificate_file.empty() != t.key_file.empty())
      Error("key_file", "certificate_file and key_file go together");
    for (const char* key : {"address", "facility"}) {
      if (!syslog) RefuseKey(key, t.kind);
    }
    if (!command) RefuseKey("command", t.kind);
    if (syslog) RefuseKey("format", t.kind);
    if (webhook && t.url.empty() == t.url_file.empty())
      Error("url", "a webhook has one of url and url_file");
    if (webhook && !t.url.empty() && !IsWebUrl(t.url))
      Error("url", "expected an address such as \"https://alerts.example/culprit\"");
    if (syslog && !address)
      Error("address",
            "expected \"/dev/log\", \"udp://HOST:514\", \"tcp://HOST:601\" or \"tls://HOST:6514\"");
    if (command && (t.command.empty() || !t.command.front().starts_with('/')))
      Error("command", "expected a program by its absolute path, and its arguments");
  }

  void RefuseKey(const char* key, const std::string& kind) {
    if (!kind.empty() && toml_.Has(Key(key)))
      Error(key, fmt::format("means nothing for kind = \"{}\"", kind));
  }

  TomlReader& toml_;
  const std::string prefix_;
};

}  // namespace

void ReadAlertTargets(TomlReader& toml, std::vector<AlertTarget>* targets) {
  const std::size_t count = toml.Tables("alert", kMaxTargets);
  std::set<std::string> names;
  for (std::size_t i = 0; i < count; ++i) {
    targets->push_back(Table(toml, i).Read());
    if (!names.insert(targets->back().name).second)
      toml.AddError(fmt::format("alert[{}].name", i), "another alert has this name");
  }
}

std::string FormatAlertTargets(const std::vector<AlertTarget>& targets) {
  std::string out;
  const auto add = [&out](const char* key, const std::string& value) {
    out += fmt::format("{} = {}\n", key, value);
  };
  const auto add_text = [&add](const char* key, const std::string& value) {
    if (!value.empty()) add(key, Quoted(value));
  };
  for (const AlertTarget& t : targets) {
    out += "\n[[alert]]\n";
    add("name", Quoted(t.name));
    add("kind", Quoted(t.kind));
    add("min_severity", Quoted(kSeverities.at(static_cast<std::size_t>(t.min_severity) - 1)));
    add("rules", QuotedList(t.rules));
    add("hosts", QuotedList(t.hosts));
    add("events", QuotedList(t.events));
    add_text("url", t.url);
    add_text("url_file", t.url_file);
    add_text("secret_file", t.secret_file);
    add_text("ca_file", t.ca_file);
    add_text("certificate_file", t.certificate_file);
    add_text("key_file", t.key_file);
    add_text("proxy", t.proxy);
    if (t.kind != "syslog") add("format", Quoted(t.format));
    add_text("address", t.address);
    if (t.kind == "syslog") add("facility", Quoted(t.facility));
    if (t.kind == "command") add("command", QuotedList(t.command));
    add("timeout", Span(t.timeout));
    add("retry_max", Span(t.retry_max));
    add("max_queued", std::to_string(t.max_queued));
  }
  return out;
}

}  // namespace culprit
