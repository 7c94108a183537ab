// SPDX-License-Identifier: Apache-2.0
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <vector>

#include "collector/detect/detectors.h"
#include "common/ascii.h"
#include "common/number.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxLengths = 512;
constexpr auto kMinute = std::chrono::seconds(60);
constexpr std::size_t kDataLabel = 40, kWordy = 20;
constexpr std::uint32_t kNull = 10, kTxt = 16;

// What somebody registered: two labels, or three below a short second-level name of a country
// ("co.uk", "com.br"). Good enough to keep the names of one owner together.
std::string DomainOf(const std::string& name) {
  std::vector<std::string> labels;
  std::size_t at = 0;
  while (at <= name.size()) {
    const std::size_t dot = std::min(name.find('.', at), name.size());
    if (dot > at) labels.push_back(name.substr(at, dot - at));
    at = dot + 1;
  }
  const std::size_t n = labels.size();
  if (n <= 2) return name;
  const bool country = labels[n - 1].size() == 2 && labels[n - 2].size() <= 3;
  const std::size_t take = country ? 3 : 2;
  std::string domain;
  for (std::size_t i = n - take; i < n; ++i) domain += (domain.empty() ? "" : ".") + labels[i];
  return domain;
}

// A label that no person would choose: data, encoded.
bool CarriesData(const std::string& name) {
  std::size_t length = 0;
  for (const char c : name) {
    length = c == '.' ? 0 : length + 1;
    if (length >= kDataLabel) return true;
  }
  return false;
}

bool IsFreeText(std::uint32_t type) { return type == kTxt || type == kNull; }

// Block lists and the like: an IPv4 address in front, backwards (RFC 5782).
bool BeginsWithAddress(std::string_view name) {
  for (int i = 0; i < 4; ++i) {
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos || !AsNumber<std::uint8_t>(name.substr(0, dot))) return false;
    name.remove_prefix(dot + 1);
  }
  return true;
}

// ".internal" is a network's own (ICANN, 2024), with a name for each of its hosts.
bool IsOfHosts(const std::string& name) {
  return name.ends_with(".arpa") || name.ends_with(".local") || name.ends_with(".internal") ||
         BeginsWithAddress(name);
}

std::size_t MedianOf(const std::deque<std::pair<WallTime, std::size_t>>& lengths) {
  std::vector<std::size_t> values;
  values.reserve(lengths.size());
  for (const auto& [at, length] : lengths) values.push_back(length);
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void Count(const DnsEvent& dns, const std::string& name, DnsDomain* domain) {
  if (domain->names.Count(dns.at) == 0) domain->began = dns.at;
  domain->names.Touch(name, dns.at) = true;
  if (IsFreeText(dns.question.type())) domain->free_text.Touch(name, dns.at) = true;
  domain->bytes += dns.question.query_bytes() + dns.question.answer_bytes();
  const std::uint32_t asked = std::clamp<std::uint32_t>(dns.question.questions(), 1, 64);
  for (std::uint32_t i = 0; i < asked; ++i) domain->lengths.emplace_back(dns.at, name.size());
  while (domain->lengths.size() > kMaxLengths ||
         (!domain->lengths.empty() && domain->lengths.front().first + kMinute < dns.at)) {
    domain->lengths.pop_front();
  }
}

}  // namespace

void WatchDnsTunnel(const DnsEvent& dns, const DnsTunnelThresholds& t, Group& group,
                    DetectContext& out) {
  const std::string name = AsciiLower(dns.question.name());
  if (name.empty() || IsOfHosts(name)) return;
  const std::string domain_name = DomainOf(name);
  if (domain_name == name) return;  // nothing below it to carry data
  DnsTunnelState& state = Need(group.dns_tunnel);
  // Some speak to their own server and need no domain: then every name looks like one of another.
  if (CarriesData(name)) state.data_names.Touch(name, dns.at) = true;
  DnsDomain& domain = state.domains.Touch(domain_name, dns.at);
  Count(dns, name, &domain);

  const std::size_t unique = domain.names.Count(dns.at) + dns.question.suppressed();
  const std::size_t free_text = domain.free_text.Count(dns.at);
  const std::size_t data = state.data_names.Count(dns.at);
  const std::size_t median = domain.lengths.empty() ? 0 : MedianOf(domain.lengths);
  const bool long_ones = domain.lengths.size() >= t.long_names && median >= t.long_name_bytes;
  if (unique < t.unique_names && free_text < t.text_names && data < t.data_names && !long_ones)
    return;
  // Many names alone may be those of many hosts, the more so the shorter they are.
  const bool carries = data >= t.data_names || long_ones;
  const bool says_much = median >= domain_name.size() + kWordy;
  Alarm alarm = MakeAlarm("dns-tunnel",
                          carries || free_text >= t.text_names ? v1::SEVERITY_HIGH
                          : says_much                          ? v1::SEVERITY_MEDIUM
                                                               : v1::SEVERITY_LOW,
                          ProcessId{dns.question.process_id()});
  alarm.confidence = carries ? v1::CONFIDENCE_HIGH : v1::CONFIDENCE_MEDIUM;
  alarm.first = domain.began;
  alarm.at = dns.at;
  alarm.lsn = dns.lsn;
  alarm.reason = fmt::format(
      "asked for {} different names within ten minutes, {} of which carry encoded data{}",
      std::max(unique, data), data == 0 ? "none" : std::to_string(data),
      data >= t.data_names ? "" : ", below " + domain_name);
  alarm.measures = {
      MakeMeasure("different names of one domain", static_cast<double>(unique), t.unique_names),
      MakeMeasure("of them asked for free text", static_cast<double>(free_text), t.text_names),
      MakeMeasure("names that carry data", static_cast<double>(data), t.data_names),
      MakeMeasure("median length over a minute", static_cast<double>(median), t.long_name_bytes,
                  "B"),
      MakeMeasure("in questions and answers", static_cast<double>(domain.bytes), 0, "B")};
  v1::Target target;
  target.set_name(domain_name);
  alarm.targets = {std::move(target)};
  if (dns.question.flow_id() != 0) alarm.flows = {FlowId{dns.question.flow_id()}};
  out.Raise(group, std::move(alarm));
}

}  // namespace culprit
