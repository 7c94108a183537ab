// SPDX-License-Identifier: Apache-2.0
// The collector's configuration: /etc/culprit/collector.toml -> a plain struct, checked.
// Stage: wiring. Thread: values. deploy/collector.toml is the reference: every key, its default and
// its meaning.
#ifndef CULPRIT_COLLECTOR_CONFIG_H_
#define CULPRIT_COLLECTOR_CONFIG_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collector/alert/alert_target.h"
#include "collector/detect/thresholds.h"
#include "common/result.h"

namespace culprit {

inline constexpr std::string_view kDefaultConfigPath = "/etc/culprit/collector.toml";

struct CollectorConfig {
  std::string listen = "0.0.0.0:7443";
  std::string data_dir = "/var/lib/culprit/collector";
  std::string pki_dir;  // empty: data_dir/pki
  std::vector<std::string> server_names;
  std::string log_level = "info";
  std::chrono::milliseconds drain{5000};

  struct Ingest {
    std::uint32_t max_inflight_frames = 256;
    std::uint64_t max_inflight_bytes = 16ULL << 20;
    std::uint64_t max_memory = 512ULL << 20;
    std::uint32_t max_threads = 8192;
    std::uint64_t max_rate = 32ULL << 20;  // bytes a second of one agent; 0 = no limit
    std::vector<std::string> revoked;      // agent ids and SHA-256s of certificates
  } ingest;

  struct Enrol {
    std::string listen;  // empty: nobody enrols over the network
    std::chrono::seconds validity{24 * 3600};
    std::vector<std::string> aws_accounts, aws_regions;
    std::vector<std::string> aws_certificates = {
        "/usr/share/culprit-collector/aws-certificates.pem"};
    std::chrono::seconds aws_max_age{24 * 3600};  // 0 = any
  } enrol;

  struct Audit {
    std::uint64_t segment_bytes = 16ULL << 20;
  } audit;

  struct Journal {
    std::uint64_t segment_bytes = 64ULL << 20;
    std::uint64_t max_bytes = 0;  // 0 = no limit
    std::chrono::seconds max_age{0};
  } journal;

  struct Index {
    std::chrono::milliseconds commit_interval{500};
    std::uint32_t part_rows = 4'000'000;
    std::chrono::seconds part_age{3600};
    std::uint64_t max_bytes = 0;  // 0 = no limit
    std::chrono::seconds max_age{0};
  } index;

  struct Disk {
    std::uint64_t warn_free = 5ULL << 30;
    std::uint64_t critical_free = 512ULL << 20;
  } disk;

  struct Geo {
    std::string ip_ranges;  // empty: ip-ranges.json in data_dir
    std::vector<std::string> mmdb;
  } geo;

  struct Cost {
    std::string prices = "/etc/culprit/prices.toml";
    std::string region;  // of hosts that do not say theirs; empty = theirs is unknown
  } cost;

  struct Metrics {
    std::string listen;  // empty: none
  } metrics;

  struct Snapshot {
    std::string on_finding = "high";  // or "off", "low", "medium", "critical"
    std::chrono::seconds finding_interval{3600};
    std::uint64_t max_bytes = 20ULL << 30;  // 0 = no limit
    std::uint64_t max_bundle_bytes = 2ULL << 30;
    std::uint64_t min_free = 1ULL << 30;
    std::chrono::seconds give_up{24 * 3600};
  } snapshot;

  DetectThresholds detect;
  std::vector<AlertTarget> alerts;

  std::string pki() const { return pki_dir.empty() ? data_dir + "/pki" : pki_dir; }
  std::string journal_dir() const { return data_dir + "/journal"; }
  std::string index_dir() const { return data_dir + "/index"; }
  std::string audit_dir() const { return data_dir + "/audit"; }
  std::string enrol_path() const { return data_dir + "/enrol.db"; }
  std::string snapshot_dir() const { return data_dir + "/snapshots"; }
  std::string findings_path() const { return data_dir + "/findings.db"; }
  std::string alerts_path() const { return data_dir + "/alerts.db"; }
  std::string ip_ranges() const {
    return geo.ip_ranges.empty() ? data_dir + "/ip-ranges.json" : geo.ip_ranges;
  }
};

// Errors: kInvalidArgument, one line for each thing that is wrong, with file and line. `name`
// stands for the file.
Result<CollectorConfig> ParseCollectorConfig(std::string_view text, const std::string& name);
// An empty `path` means kDefaultConfigPath, or the defaults where that does not exist.
Result<CollectorConfig> LoadCollectorConfig(const std::string& path);
// The whole configuration as TOML that reads back as itself.
std::string FormatCollectorConfig(const CollectorConfig& config);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_CONFIG_H_
