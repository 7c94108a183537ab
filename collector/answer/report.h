// SPDX-License-Identifier: Apache-2.0
// An abuse report as text -> what it says: who was seen doing something where and when.
//
// Stage: answer. Pure. Thread: values. Total on any bytes, bounded: what is beyond the limits is
// left out, and `cut` says so. Nothing in a report is believed, only compared with evidence.
#ifndef CULPRIT_COLLECTOR_ANSWER_REPORT_H_
#define CULPRIT_COLLECTOR_ANSWER_REPORT_H_

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "collector/answer/time_scan.h"
#include "common/net_address.h"

namespace culprit {

inline constexpr std::size_t kMaxReportBytes = 1U << 20;
inline constexpr std::size_t kMaxSightings = 256;
inline constexpr std::size_t kMaxReportAddresses = 64;

// One line, or one paragraph, of a report: what belongs together.
struct Sighting {
  std::string text;  // its first line, at most 200 bytes
  std::vector<IpAddress> addresses;
  // Of either end: columns are swapped as often as not.
  std::set<std::uint16_t> ports;     // said to be ports
  std::set<std::uint16_t> numbers;   // that may be ports
  std::set<std::uint16_t> services;  // usual ports of programs that are named: "sshd"
  std::set<std::uint8_t> protocols;
  std::vector<std::string> instances;  // "i-0123456789abcdef0"
  std::vector<WrittenTime> times;
  bool cell_line = false;  // separated by commas or the like
  bool empty() const { return addresses.empty() && times.empty() && instances.empty(); }
};

struct AbuseReport {
  std::string shape;  // "CSV", "log", "text", "JSON": for a person
  std::vector<Sighting> sightings;
  // All that is in the report, in the order of the text, each once.
  std::vector<IpAddress> addresses;
  std::vector<std::string> instances, regions, accounts;
  std::vector<WrittenTime> times;
  std::vector<WrittenTime> sent;        // Date: of the message itself
  std::vector<std::string> activities;  // "Denial of Service", "port scan", …
  ZoneName zone;                        // said of all times
  bool cut = false;
};

AbuseReport ParseAbuseReport(std::string_view text);

// The parts, for report.cc.
struct Marks {
  std::vector<IpAddress> addresses;
  std::set<std::uint16_t> ports, services;
  std::set<std::uint8_t> protocols;
  std::vector<std::string> instances, regions, accounts;
};
// Addresses (plain, bracketed, [.]-defanged, as ec2-… host names), named ports, protocols and
// instance ids of one line. `*rest` = the line with blanks where addresses stood.
Marks ScanMarks(std::string_view line, std::string* rest);

// AWS Health events and other JSON as lines of "key: value", a paragraph for each object; empty if
// it is none.
std::string FlattenJson(std::string_view text);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ANSWER_REPORT_H_
