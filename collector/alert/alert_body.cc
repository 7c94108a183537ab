// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/alert_body.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "collector/detect/rules.h"
#include "collector/format/ecs.h"
#include "collector/format/message_json.h"
#include "collector/format/ocsf.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxSlackText = 2500;

OcsfActivity ActivityOf(const v1::Alert& alert) {
  switch (alert.event()) {
    case v1::ALERT_EVENT_CLOSED:
      return OcsfActivity::kClose;
    case v1::ALERT_EVENT_RAISED:
      return OcsfActivity::kUpdate;
    default:
      return OcsfActivity::kCreate;
  }
}

std::string OwnBody(const v1::Alert& alert) {
  return fmt::format(
      R"({{"version":1,"event":"{}","test":{},"key":{},"queued_time":"{}","lost_before":{},)"
      R"("summary":{},"finding":{}}})",
      WordOf(alert.event()), alert.event() == v1::ALERT_EVENT_TEST, JsonString(alert.key()),
      FormatRfc3339(alert.queued_ns()), alert.lost_before(), JsonString(AlertSummary(alert)),
      ToJson(alert.finding()));
}

// At most `max` bytes of well-formed UTF-8.
std::string Cut(std::string text, std::size_t max) {
  if (text.size() <= max) return text;
  std::size_t end = max - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
  return text.substr(0, end) + "...";
}

// Inside code nothing is a link, a command or somebody's name; the three characters are Slack's
// own.
std::string Code(const std::string& text) {
  std::string out = "`";
  for (const char c : EscapeText(text)) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c == '`' ? '\'' : c;
    }
  }
  return out + "`";
}

const char* ColourOf(const v1::Alert& alert) {
  if (alert.event() == v1::ALERT_EVENT_CLOSED) return "#2e7d32";
  if (alert.finding().severity() >= v1::SEVERITY_HIGH) return "#c62828";
  return alert.finding().severity() == v1::SEVERITY_MEDIUM ? "#ef6c00" : "#757575";
}

std::string TargetText(const v1::Target& target) {
  std::string text = target.address();
  if (text.find(':') != std::string::npos && target.port() != 0) text = "[" + text + "]";
  if (target.port() != 0) text += fmt::format(":{}", target.port());
  if (!target.name().empty()) text += " " + target.name();
  if (!target.region().empty()) text += fmt::format(" ({} {})", target.region(), target.service());
  if (target.tx_bytes() != 0) text += ", " + FormatByteSize(target.tx_bytes()) + " sent";
  return text;
}

// Attachments, since what speaks like Slack (Mattermost, Rocket.Chat) knows them as well.
std::string SlackBody(const v1::Alert& alert) {
  const v1::Finding& finding = alert.finding();
  const Rule& rule = RuleOf(finding.rule());
  std::string fields;
  const auto add = [&fields](const char* title, const std::string& value) {
    if (value.empty()) return;
    fields +=
        fmt::format(R"({}{{"title":"{}","value":{},"short":false}})", fields.empty() ? "" : ",",
                    title, JsonString(Code(Cut(value, kMaxSlackText / 4))));
  };
  add("Host", finding.host());
  add("Process", finding.command_line().empty() ? finding.exe() : finding.command_line());
  if (finding.has_session()) {
    const v1::FindingSession& session = finding.session();
    add("Login", fmt::format("{} from {} {} {}", session.user(), session.address(),
                             session.method(), session.key_fingerprint()));
  }
  if (finding.targets_size() > 0) add("Busiest target", TargetText(finding.targets(0)));
  if (!finding.state_reason().empty())
    add("Decided", finding.state_by() + ": " + finding.state_reason());
  if (alert.lost_before() > 0) add("Alerts lost before", std::to_string(alert.lost_before()));
  add("Finding", finding.id());
  const std::string title =
      fmt::format("{}{}: {} ({})", alert.event() == v1::ALERT_EVENT_TEST ? "TEST " : "",
                  WordOf(finding.severity()), *rule.title == '\0' ? "finding" : rule.title,
                  WordOf(alert.event()));
  const std::string reason = Code(Cut(finding.reason(), kMaxSlackText));
  return fmt::format(
      R"({{"text":{},"attachments":[{{"color":"{}","fallback":{},"text":{},"fields":[{}]}}]}})",
      JsonString(fmt::format("*{}* on {}", title, Code(finding.host()))), ColourOf(alert),
      JsonString(title), JsonString(reason), fields);
}

int SyslogSeverity(const v1::Alert& alert) {
  if (alert.event() == v1::ALERT_EVENT_CLOSED || alert.event() == v1::ALERT_EVENT_TEST) return 5;
  switch (alert.finding().severity()) {
    case v1::SEVERITY_CRITICAL:
      return 2;
    case v1::SEVERITY_HIGH:
      return 3;
    case v1::SEVERITY_MEDIUM:
      return 4;
    default:
      return 5;
  }
}

int FacilityNumber(const std::string& facility) {
  const auto& names = SyslogFacilities();
  return static_cast<int>(std::find(names.begin(), names.end(), facility) - names.begin());
}

// name="value": what RFC 5424 escapes in parameters is escaped here too.
std::string Pair(const char* name, const std::string& value) {
  std::string out = fmt::format(" {}=\"", name);
  for (const char c : EscapeText(value)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// PRINTUSASCII without blanks, 1 to 255 of them.
std::string HeaderWord(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c > ' ' && c < '\x7f' && out.size() < 255) out += c;
  }
  return out.empty() ? "-" : out;
}

// Microseconds are the finest that RFC 5424 has.
std::string SyslogTime(std::int64_t ns) {
  std::string time = FormatRfc3339(ns / 1000 * 1000);
  if (time.size() > 27) time = time.substr(0, 26) + "Z";
  return time;
}

}  // namespace

std::string AlertSummary(const v1::Alert& alert) {
  const v1::Finding& finding = alert.finding();
  return fmt::format("{}: {} on {}, {}: {}", WordOf(finding.severity()), finding.rule(),
                     EscapeText(finding.host()), WordOf(alert.event()),
                     EscapeText(finding.reason()));
}

std::string AlertBody(const std::string& format, const v1::Alert& alert) {
  if (format == "slack") return SlackBody(alert);
  if (format == "ocsf") return OcsfFinding(alert.finding(), ActivityOf(alert));
  if (format == "ecs") return EcsFinding(alert.finding());
  return OwnBody(alert);
}

const std::vector<std::string>& SyslogFacilities() {
  static const std::vector<std::string> names = {
      "kern",   "user",   "mail",     "daemon", "auth",   "syslog", "lpr",    "news",
      "uucp",   "cron",   "authpriv", "ftp",    "ntp",    "audit",  "alert",  "clock",
      "local0", "local1", "local2",   "local3", "local4", "local5", "local6", "local7"};
  return names;
}

std::string SyslogMessage(const v1::Alert& alert, const std::string& facility,
                          const std::string& hostname, std::size_t max_bytes) {
  const v1::Finding& finding = alert.finding();
  std::string out =
      fmt::format("<{}>1 {} {} culprit - {} [origin software=\"culprit\"] {}{}",
                  FacilityNumber(facility) * 8 + SyslogSeverity(alert),
                  SyslogTime(alert.queued_ns()), HeaderWord(hostname), WordOf(alert.event()),
                  WordOf(alert.event()), Pair("severity", WordOf(finding.severity())));
  out += Pair("rule", finding.rule()) + Pair("host", Cut(finding.host(), 100)) +
         Pair("finding", finding.id()) + Pair("key", alert.key());
  if (alert.lost_before() > 0) out += Pair("lost_before", std::to_string(alert.lost_before()));
  const std::size_t room = max_bytes > out.size() ? max_bytes - out.size() : 0;
  // Escaping may double a text: a quarter of the room for each of the two, and the rest is cut.
  std::string tail = Pair("pid", std::to_string(finding.pid())) +
                     Pair("exe", Cut(finding.exe(), std::max<std::size_t>(room / 8, 8))) +
                     Pair("reason", Cut(finding.reason(), std::max<std::size_t>(room / 3, 8)));
  return Cut(out + tail, max_bytes);
}

}  // namespace culprit
