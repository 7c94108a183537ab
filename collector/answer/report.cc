// SPDX-License-Identifier: Apache-2.0
#include "collector/answer/report.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxLine = 4096, kMaxLines = 20'000, kMaxTimes = 64, kMaxNumbers = 64;
constexpr std::size_t kMaxShown = 200;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

template <class T>
void AddOnce(const T& value, std::size_t max, std::vector<T>* out) {
  if (out->size() < max && std::ranges::find(*out, value) == out->end()) out->push_back(value);
}

void AddTime(const WrittenTime& time, std::vector<WrittenTime>* out) {
  if (out->size() < kMaxTimes &&
      std::ranges::find(*out, time.text, &WrittenTime::text) == out->end())
    out->push_back(time);
}

// Numbers that stand alone and may be ports.
void TakeNumbers(const std::string& text, std::set<std::uint16_t>* out) {
  for (std::size_t at = 0; at < text.size();) {
    if (!IsDigit(text[at])) {
      ++at;
      continue;
    }
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), value);
    const auto next = static_cast<std::size_t>(end - text.data());
    const char before = at == 0 ? ' ' : text[at - 1];
    const char after = next < text.size() ? text[next] : ' ';
    const bool alone = !IsLetter(before) && before != '-' && before != '.' && before != '_' &&
                       !IsLetter(after) && after != '-' && after != '_';
    if (error == std::errc() && alone && value >= 1 && value <= 65535 &&
        out->size() < kMaxNumbers) {
      out->insert(static_cast<std::uint16_t>(value));
    }
    at = std::max(next, at + 1);
  }
}

constexpr std::pair<const char*, const char*> kActivities[] = {
    {"denial of service", "denial of service"},
    {"denial-of-service", "denial of service"},
    {"_dos_", "denial of service"},
    {"ddos", "denial of service"},
    {"dos,", "denial of service"},
    {"port scan", "port scanning"},
    {"portscan", "port scanning"},
    {"scanning", "port scanning"},
    {"port_scan", "port scanning"},
    {"brute force", "login attempts"},
    {"bruteforce", "login attempts"},
    {"intrusion attempt", "intrusion attempts"},
    {"without authorization", "intrusion attempts"},
    {"failed password", "login attempts"},
    {"authentication failure", "login attempts"},
    {"invalid user", "login attempts"},
    {"spam", "unwanted mail"},
    {"phishing", "phishing"},
    {"malware", "malware"},
    {"open proxy", "open proxy"},
    {"botnet", "botnet"},
};

// When the message was written, not when anything happened.
bool IsEnvelope(std::string_view line) {
  const std::string start = AsciiLower(line.substr(0, 12));
  return start.starts_with("date:") || start.starts_with("sent:") || start.starts_with("received:");
}

// The zone that a line names for other lines' times: "All times are in UTC".
ZoneName ZoneOfAll(std::string_view line, const std::string& lower) {
  if (lower.find("time") == std::string::npos && lower.find("zone") == std::string::npos) return {};
  for (std::size_t at = 1; at < line.size(); ++at) {
    const bool starts = !IsLetter(line[at - 1]) && IsLetter(line[at]);
    if (!starts) continue;
    std::size_t used = 0;
    ZoneName zone = ScanZone(line.substr(at), &used);
    // Two letters are a word or a state as often as a zone.
    if (zone.known() && used >= 3 && line[at] <= 'Z') return zone;
  }
  return {};
}

class Reader {
 public:
  void Line(std::string_view line) {
    line = TrimBack(TrimFront(line, ">| \t"), "\r ");
    if (line.size() > kMaxLine) {
      line = line.substr(0, kMaxLine);
      out_.cut = true;
    }
    if (line.empty()) return EndParagraph();
    if (line.front() == '{' && line.back() == '}') {
      flat_ = FlattenJson(line);
      std::ranges::replace(flat_, '\n', ' ');
      if (!flat_.empty()) line = flat_;
    }
    Take(line);
  }

  AbuseReport Finish() {
    EndParagraph();
    Complete();
    return std::move(out_);
  }

 private:
  void Take(std::string_view line) {
    std::string rest;
    Marks marks = ScanMarks(line, &rest);
    Sighting here;
    for (WrittenTime& time : ScanTimes(rest)) {
      std::fill(rest.begin() + static_cast<std::ptrdiff_t>(time.begin),
                rest.begin() + static_cast<std::ptrdiff_t>(time.end), ' ');
      AddTime(time, &here.times);
    }
    TakeNumbers(rest, &here.numbers);
    here.text = std::string(line.substr(0, kMaxShown));
    here.cell_line =
        std::ranges::count_if(line, [](char c) { return c == ',' || c == ';' || c == '\t'; }) >= 4;
    if (IsEnvelope(line)) {
      for (const WrittenTime& time : here.times) AddTime(time, &out_.sent);
      here.times.clear();
    }
    NoteLine(line, here, marks);
    here.addresses = std::move(marks.addresses);
    here.ports = std::move(marks.ports);
    here.services = std::move(marks.services);
    here.protocols = std::move(marks.protocols);
    here.instances = std::move(marks.instances);
    if (!here.addresses.empty() && !here.times.empty()) return Put(std::move(here));
    Merge(here);
  }

  void NoteLine(std::string_view line, const Sighting& here, const Marks& marks) {
    const std::string lower = AsciiLower(line);
    for (const auto& [word, activity] : kActivities) {
      if (lower.find(word) != std::string::npos)
        AddOnce(std::string(activity), 16, &out_.activities);
    }
    for (const IpAddress& address : marks.addresses) {
      AddOnce(address, kMaxReportAddresses, &out_.addresses);
    }
    for (const std::string& instance : marks.instances) AddOnce(instance, 64, &out_.instances);
    for (const std::string& region : marks.regions) AddOnce(region, 16, &out_.regions);
    for (const std::string& account : marks.accounts) AddOnce(account, 16, &out_.accounts);
    for (const WrittenTime& time : here.times) AddTime(time, &out_.times);
    if (here.times.empty() && !out_.zone.known()) out_.zone = ZoneOfAll(line, lower);
  }

  void Put(Sighting sighting) {
    if (out_.sightings.size() >= kMaxSightings) {
      out_.cut = true;
      return;
    }
    out_.sightings.push_back(std::move(sighting));
  }

  void Merge(const Sighting& here) {
    if (paragraph_.text.empty() || (paragraph_.addresses.empty() && !here.addresses.empty())) {
      paragraph_.text = here.text;
    }
    for (const IpAddress& a : here.addresses)
      AddOnce(a, kMaxReportAddresses, &paragraph_.addresses);
    for (const std::string& i : here.instances) AddOnce(i, 64, &paragraph_.instances);
    for (const WrittenTime& t : here.times) AddTime(t, &paragraph_.times);
    paragraph_.ports.insert(here.ports.begin(), here.ports.end());
    paragraph_.services.insert(here.services.begin(), here.services.end());
    paragraph_.protocols.insert(here.protocols.begin(), here.protocols.end());
    if (!here.addresses.empty())
      paragraph_.numbers.insert(here.numbers.begin(), here.numbers.end());
  }
  void EndParagraph() {
    loose_.push_back(std::move(paragraph_));
    paragraph_ = {};
    if (loose_.size() > kMaxSightings) loose_.pop_back();
  }

  // What stands in one paragraph, and its time or port in another.
  void Complete() {
    if (out_.times.empty()) out_.times = out_.sent;
    std::set<std::uint16_t> ports;
    std::set<std::uint8_t> protocols;
    for (const Sighting& part : loose_) {
      if (!part.addresses.empty()) continue;
      ports.insert(part.ports.begin(), part.ports.end());
      protocols.insert(part.protocols.begin(), part.protocols.end());
    }
    const bool exact = !out_.sightings.empty();
    for (Sighting& part : loose_) {
      const bool fresh = std::ranges::any_of(part.addresses, [this](const IpAddress& address) {
        return std::ranges::none_of(out_.sightings, [&](const Sighting& s) {
          return std::ranges::find(s.addresses, address) != s.addresses.end();
        });
      });
      if (part.addresses.empty() || (exact && !fresh)) continue;
      if (part.times.empty()) part.times = out_.times;
      Put(std::move(part));
    }
    for (Sighting& sighting : out_.sightings) {
      if (sighting.ports.empty()) sighting.ports = ports;
      if (sighting.protocols.empty()) sighting.protocols = protocols;
      if (sighting.instances.empty()) sighting.instances = out_.instances;
    }
    if (!out_.sightings.empty() || (out_.instances.empty() && out_.times.empty())) return;
    Sighting only;
    only.instances = out_.instances;
    only.times = out_.times;
    only.ports = std::move(ports);
    only.protocols = std::move(protocols);
    Put(std::move(only));
  }

  AbuseReport out_;
  Sighting paragraph_;
  std::vector<Sighting> loose_;
  std::string flat_;
};

std::string ShapeOf(const AbuseReport& report) {
  std::size_t cells = 0;
  for (const Sighting& sighting : report.sightings) cells += sighting.cell_line ? 1U : 0U;
  if (cells * 2 > report.sightings.size()) return "CSV";
  return report.sightings.size() > 1 ? "log" : "text";
}

}  // namespace

AbuseReport ParseAbuseReport(std::string_view text) {
  const bool cut = text.size() > kMaxReportBytes;
  text = text.substr(0, kMaxReportBytes);
  const std::string flat = FlattenJson(text);
  if (!flat.empty()) text = flat;
  Reader reader;
  std::size_t lines = 0;
  bool more = false;
  for (std::size_t at = 0; at <= text.size() && !text.empty();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (++lines > kMaxLines) {
      more = true;
      break;
    }
    reader.Line(text.substr(at, end - at));
    at = end + 1;
  }
  AbuseReport report = reader.Finish();
  report.shape = flat.empty() ? ShapeOf(report) : "JSON";
  report.cut = report.cut || cut || more;
  return report;
}

}  // namespace culprit
