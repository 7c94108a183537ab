// SPDX-License-Identifier: Apache-2.0
// Values that are numbers, several of them, or names from a list.
#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "agent/posture/sshd_parser.h"
#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::pair<std::string_view, int> kQos[] = {
    {"none", INT_MAX},    {"af11", 0x28}, {"af12", 0x30}, {"af13", 0x38},     {"af21", 0x48},
    {"af22", 0x50},       {"af23", 0x58}, {"af31", 0x68}, {"af32", 0x70},     {"af33", 0x78},
    {"af41", 0x88},       {"af42", 0x90}, {"af43", 0x98}, {"cs0", 0x00},      {"cs1", 0x20},
    {"cs2", 0x40},        {"cs3", 0x60},  {"cs4", 0x80},  {"cs5", 0xa0},      {"cs6", 0xc0},
    {"cs7", 0xe0},        {"ef", 0xb8},   {"le", 0x01},   {"lowdelay", 0x10}, {"throughput", 0x08},
    {"reliability", 0x04}};

std::optional<int> QosValue(const std::string& text) {
  for (const auto& [name, value] : kQos)
    if (EqualNoCase(text, name)) return value;
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 0);
  if (text.empty() || *end != '\0' || value < 0 || value > 255) return std::nullopt;
  return static_cast<int>(value);
}

std::string QosName(int value) {
  for (const auto& [name, known] : kQos)
    if (value == known) return std::string(name);
  char text[16];
  std::snprintf(text, sizeof text, "0x%02x", static_cast<unsigned>(value));
  return text;
}

}  // namespace

bool SshdParser::Quality(Line& line) {
  const std::string* text = Need(line);
  if (text == nullptr) return false;
  const auto interactive = QosValue(*text);
  if (!interactive) return Fatal("bad IPQoS " + *text);
  const std::string* second = line.arguments.Next();
  const auto bulk = second == nullptr ? interactive : QosValue(*second);
  if (!bulk) return Fatal("bad IPQoS " + *second);
  Replace("ipqos", QosName(*interactive) + " " + QosName(*bulk));
  return true;
}

// A number given alone is begin and full at once, and leaves the rate of an earlier line.
bool SshdParser::Startups(Line& line) {
  const std::string* text = Need(line);
  if (text == nullptr) return false;
  int begin = 0, rate = -1, full = 0, old_begin = 0, old_full = 0;
  if (IsSet("maxstartups")) {
    std::sscanf(settings_["maxstartups"].front().text.c_str(), "%d:%d:%d", &old_begin, &rate,
                &old_full);
  }
  const int fields = std::sscanf(text->c_str(), "%d:%d:%d", &begin, &rate, &full);
  if (fields == 1) full = begin;
  const bool wrong = fields == 3 && (begin > full || rate > 100 || rate < 1);
  if ((fields != 3 && fields != 1) || wrong || full <= 0 || begin <= 0)
    return Fatal("bad MaxStartups " + *text);
  Note("maxstartups",
       std::to_string(begin) + ":" + std::to_string(rate) + ":" + std::to_string(full));
  settings_["maxstartups"] = {
      {std::to_string(begin) + ":" + std::to_string(rate) + ":" + std::to_string(full), origin_}};
  return true;
}

bool SshdParser::Sources(Line& line) {
  const std::string* text = Need(line);
  if (text == nullptr) return false;
  if (line.keyword->form == ValueForm::kPerSource) {
    const auto value = SshdInt(*text);
    if (*text != "none" && !value) return Fatal("bad PerSourceMaxStartups " + *text);
    Replace("persourcemaxstartups", !value || *value == INT_MAX ? "none" : std::to_string(*value));
    return true;
  }
  int v4 = 0, v6 = 128;
  const int fields = std::sscanf(text->c_str(), "%d:%d", &v4, &v6);
  if (fields < 1 || v4 < 0 || v4 > 32 || v6 < 0 || v6 > 128)
    return Fatal("bad PerSourceNetBlockSize " + *text);
  Replace("persourcenetblocksize", std::to_string(v4) + ":" + std::to_string(v6));
  return true;
}

bool SshdParser::Rekey(Line& line) {
  const std::string* text = Need(line);
  if (text == nullptr) return false;
  std::int64_t bytes = 0;
  if (*text != "default") {
    const auto size = SshdSize(*text);
    if (!size) return Fatal("bad RekeyLimit " + *text);
    if (*size != 0 && *size < 16) return Fatal("RekeyLimit too small");
    bytes = *size;
  }
  Offer("rekeylimit.bytes", std::to_string(static_cast<std::uint64_t>(bytes)));
  const std::string* interval = line.arguments.Peek();
  if (interval == nullptr) return true;
  if (*interval == "none") {
    line.arguments.Next();
    return true;
  }
  interval = Need(line);
  if (interval == nullptr) return false;
  const auto seconds = SshdTime(*interval);
  if (!seconds) return Fatal("bad time " + *interval);
  Offer("rekeylimit.seconds", std::to_string(*seconds));
  return true;
}

bool SshdParser::KeyOptions(Line& line) {
  bool touch = false, verify = false;
  while (const std::string* argument = line.arguments.Next()) {
    if (EqualNoCase(*argument, "none")) continue;
    if (EqualNoCase(*argument, "touch-required")) {
      touch = true;
    } else if (EqualNoCase(*argument, "verify-required")) {
      verify = true;
    } else {
      return Bad("unsupported PubkeyAuthOptions " + *argument);
    }
  }
  std::string text = touch ? "touch-required" : "";
  if (verify) text += touch ? " verify-required" : "verify-required";
  Offer("pubkeyauthoptions", text.empty() ? "none" : text);
  return true;
}

// Names from a list, and what is left.
bool SshdParser::NameOf(Line& line) {
  constexpr std::array<std::string_view, 10> kLevels = {"SILENT", "QUIET",   "FATAL", "ERROR",
                                                        "INFO",   "VERBOSE", "DEBUG", "DEBUG1",
                                                        "DEBUG2", "DEBUG3"};
  constexpr std::array<std::string_view, 12> kFacilities = {
      "DAEMON", "USER",   "AUTH",   "AUTHPRIV", "LOCAL0", "LOCAL1",
      "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5",   "LOCAL6", "LOCAL7"};
  constexpr std::array<std::string_view, 5> kDigests = {"MD5", "SHA1", "SHA256", "SHA384",
                                                        "SHA512"};
  constexpr std::array<std::string_view, 4> kTunnels = {"no", "yes", "point-to-point", "ethernet"};
  const std::string name(line.keyword->canonical);
  const std::string* text = Need(line);
  if (text == nullptr) return false;
  const auto pick = [&](const auto& names) -> bool {
    for (const std::string_view known : names) {
      if (!EqualNoCase(*text, known)) continue;
      const std::string value(known == "DEBUG1" ? "DEBUG" : known == "QUIET" ? "SILENT" : known);
      name == "fingerprinthash" ? Replace(name, value) : Offer(name, value);
      return true;
    }
    return Fatal("unsupported value " + *text);
  };
  switch (line.keyword->form) {
    case ValueForm::kLogLevel:
      return pick(kLevels);
    case ValueForm::kFacility:
      return pick(kFacilities);
    case ValueForm::kDigest:
      return pick(kDigests);
    case ValueForm::kTunnel:
      if (AsciiLower(*text) != *text) return Fatal("unsupported value " + *text);
      return pick(kTunnels);
    case ValueForm::kMask: {
      char* end = nullptr;
      const long mask = std::strtol(text->c_str(), &end, 8);
      if (end == text->c_str() || mask < 0 || mask > 0777) return Fatal("bad mask " + *text);
      char octal[16];
      std::snprintf(octal, sizeof octal, "0%lo", mask);
      Replace(name, octal);
      return true;
    }
    default:  // kUserEnvironment: yes, no, or a list of patterns
      Offer(name, *text);
      return true;
  }
}

}  // namespace culprit
