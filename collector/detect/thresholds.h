// SPDX-License-Identifier: Apache-2.0
// Every number that the detectors judge by, with where it comes from. collector.toml may change
// each: [detect.RULE] NAME. Stage: detect. Thread: values.
#ifndef CULPRIT_COLLECTOR_DETECT_THRESHOLDS_H_
#define CULPRIT_COLLECTOR_DETECT_THRESHOLDS_H_

#include <cstdint>
#include <string>

namespace culprit {

// Sequential hypothesis test on first contacts (Jung et al. 2004, theta 0.8 and 0.2: each failure
// is worth log 4, each success takes one away), and counts of probes that nobody answered.
struct ScanThresholds {
  std::uint32_t net_failures = 9;         // of first contacts; 4^9 > 1e5 to 1. Benign hosts reach 3
  std::uint32_t unanswered = 30;          // distinct UDP or ICMP targets within a minute
  std::uint32_t unanswered_percent = 80;  // of all distinct ones in that time
  std::uint32_t crafted_targets =
      20;  // addresses or ports of SYNs through raw and packet sockets within 10 s
};

struct FloodThresholds {
  std::uint32_t packets_per_second = 5000;  // sent, with next to nothing coming back
  std::uint32_t answered_percent = 2;
  std::uint32_t attempts_per_second =
      100;                    // TCP to few targets, unanswered. Busy benign hosts stay below 40
  std::uint32_t seconds = 3;  // in a row
  std::uint32_t burst_packets_per_second = 10'000;  // at that rate two seconds are enough
  std::uint32_t burst_attempts = 150;  // or so many within one second, of which none is answered
};

// Short connections that each fail to log in.
struct BruteForceThresholds {
  std::uint32_t connections = 10;     // to one target within a minute
  std::uint32_t ssh_connections = 6;  // SSH gives several guesses a connection
  std::uint32_t targets = 8;          // distinct ones within a minute
  std::uint64_t bytes = 12'000;       // at most, both ways; a session that got in has more
  std::uint64_t ssh_bytes = 7'000;    // the same of SSH, where `ssh host true` has 7,500
  std::uint32_t seconds = 30;         // at most
};

// Who chose the destination?
struct RelayThresholds {
  std::uint32_t ssh_destinations =
      3;  // of a login's sshd within ten minutes: from a notice to a finding
  std::uint64_t ssh_bytes = 10'000'000;
  std::uint32_t destinations = 5;  // public, within ten minutes
  std::uint32_t conserved_percent =
      85;  // bytes in on one side against bytes out on the other, both ways
  std::uint64_t bytes = 1'000'000;  // before conservation means anything
  std::uint32_t asked = 2;          // destinations that clients of a proxy asked for and got
};

struct EgressThresholds {
  std::uint64_t bytes = 500'000'000;           // to destinations that are new to the host
  std::uint64_t bytes_per_second = 5'000'000;  // or for a minute
  std::uint32_t out_in_ratio = 10;             // what is fetched is no egress
};

struct MiningThresholds {
  std::uint32_t score = 7;      // of flow shape (NEMEA miner detector's weights)
  std::uint32_t seconds = 300;  // active
};

// RITA's score of intervals and sizes.
struct BeaconThresholds {
  std::uint32_t connections = 20;
  std::uint32_t score_percent = 85;
};

struct DnsTunnelThresholds {
  std::uint32_t unique_names = 100;  // of one domain within ten minutes. Browsers stay below 10
  std::uint32_t text_names =
      15;  // of those, asked for TXT or NULL: what mail servers ask so has many domains
  std::uint32_t data_names =
      40;  // of any domain within ten minutes, with a label of 40 characters and more
  std::uint32_t long_names = 50;  // within a minute, of a median length of
  std::uint32_t long_name_bytes = 100;
};

struct SpamThresholds {
  std::uint32_t servers = 10;  // distinct public ones on port 25 within ten minutes
};

// A service of ours that answers small questions with large answers (NEMEA amplification detector).
struct ReflectorThresholds {
  std::uint32_t gain = 5;
  std::uint32_t answers = 1000;  // within five minutes
  std::uint32_t answer_bytes = 1000;
};

// Data transfer of one host, by the operator's price table, over any hour.
struct BudgetThresholds {
  double usd_per_hour = 1.0;  // 0 = off
};

// When somebody is at work. Empty zone: hours weigh nothing, for a wrong one would mislead.
struct HoursSettings {
  std::string zone;  // of the IANA: "Asia/Kolkata"
  std::uint32_t begin_hour = 7, end_hour = 20;
  bool weekend = false;  // Saturday and Sunday are working days too
};

// What counts as seen for the first time.
struct BaselineThresholds {
  std::uint32_t learn_hours = 24;   // of evidence, before "never before" means anything of a host
  std::uint32_t fresh_hours = 24;   // for so long after the first time it is new
  std::uint32_t known_hours = 168;  // after so long it speaks for what happens
};

// Of the evidence itself: seconds without a frame for a warning and for a finding, between two
// heartbeats of one run, until a missing frame must have been declared as lost, and by which a
// host's clock is set. Heartbeats come every 10 s, and three of them in a row are never just late.
struct IntegrityThresholds {
  std::uint32_t silence_warning_seconds = 30;
  std::uint32_t silence_seconds = 90;
  std::uint32_t pause_seconds = 30;
  std::uint32_t gap_seconds = 30;
  std::uint32_t clock_jump_seconds = 5;
  std::uint32_t shed_records = 5'000;  // of processes, within a minute
};

struct DetectThresholds {
  ScanThresholds scan;
  FloodThresholds flood;
  BruteForceThresholds brute_force;
  RelayThresholds relay;
  EgressThresholds egress;
  MiningThresholds mining;
  BeaconThresholds beacon;
  DnsTunnelThresholds dns_tunnel;
  SpamThresholds spam;
  ReflectorThresholds reflector;
  BudgetThresholds budget;
  HoursSettings hours;
  BaselineThresholds baseline;
  IntegrityThresholds integrity;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_THRESHOLDS_H_
