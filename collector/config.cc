// SPDX-License-Identifier: Apache-2.0
#include "collector/config.h"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>

#include "collector/alert_config.h"
#include "collector/config_text.h"
#include "collector/detect_config.h"
#include "common/hex.h"
#include "common/ids.h"
#include "common/net_address.h"
#include "common/text.h"
#include "common/toml_reader.h"
#include "common/units.h"

namespace culprit {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kNoLimit = 1ULL << 62U;

bool IsRevocable(const std::string& text) {
  return Uuid::Parse(text).has_value() || (text.size() == 64 && HexDecode(text).has_value());
}

bool IsListenAddress(const std::string& text) {
  const auto endpoint = Endpoint::Parse(text);
  return endpoint && (endpoint->port != 0 || text.ends_with(":0"));
}

bool AreAbsolute(const std::vector<std::string>& paths) {
  return std::ranges::all_of(paths, [](const std::string& path) { return path.starts_with('/'); });
}

void CheckEnrol(const CollectorConfig& config, TomlReader& toml) {
  const auto& enrol = config.enrol;
  if (!enrol.listen.empty() && !IsListenAddress(enrol.listen)) {
    toml.AddError("enrol.listen", "expected ADDRESS:PORT such as \"0.0.0.0:7444\", or \"\"");
  }
  if (!std::ranges::all_of(enrol.aws_accounts, [](const std::string& account) {
        return account.size() == 12 && account.find_first_not_of("0123456789") == account.npos;
      })) {
    toml.AddError("enrol.aws_accounts", "expected account ids of twelve digits");
  }
  if (!AreAbsolute(enrol.aws_certificates)) {
    toml.AddError("enrol.aws_certificates", "expected absolute paths");
  }
}

void CheckMeaning(const CollectorConfig& config, TomlReader& toml) {
  if (!IsListenAddress(config.listen)) {
    toml.AddError(
        "listen",
        fmt::format("expected ADDRESS:PORT such as \"0.0.0.0:7443\" or \"[::]:7443\", found \"{}\"",
                    EscapeText(config.listen)));
  }
  if (!std::all_of(config.ingest.revoked.begin(), config.ingest.revoked.end(), IsRevocable)) {
    toml.AddError("ingest.revoked",
                  "expected agent ids (UUIDs) or SHA-256 fingerprints of certificates");
  }
  if (config.disk.critical_free > config.disk.warn_free) {
    toml.AddError("disk.critical_free", "must not be larger than disk.warn_free");
  }
  CheckEnrol(config, toml);
  if (!config.metrics.listen.empty() && !IsListenAddress(config.metrics.listen)) {
    toml.AddError("metrics.listen", "expected ADDRESS:PORT such as \"127.0.0.1:9464\", or \"\"");
  }
  if (!AreAbsolute(config.geo.mmdb)) {
    toml.AddError("geo.mmdb", "expected absolute paths of .mmdb files");
  }
  const std::uint64_t cap = config.journal.max_bytes;
  if (cap != 0 && cap < 2 * config.journal.segment_bytes) {
    toml.AddError("journal.max_bytes",
                  "must be at least two journal.segment_bytes, or 0 for no limit");
  }
}

}  // namespace

Result<CollectorConfig> ParseCollectorConfig(std::string_view text, const std::string& name) {
  TRY(TomlReader toml, TomlReader::Parse(text, name));
  CollectorConfig c;
  toml.String("listen", c.listen);
  toml.Path("data_dir", c.data_dir);
  toml.Path("pki_dir", c.pki_dir);
  toml.Strings("server_names", c.server_names);
  toml.Choice("log_level", c.log_level, {"trace", "debug", "info", "warning", "error"});
  toml.Duration("drain", c.drain, seconds(0), seconds(60));
  toml.Uint32("ingest.max_inflight_frames", c.ingest.max_inflight_frames, 1, 65536);
  toml.Bytes("ingest.max_inflight_bytes", c.ingest.max_inflight_bytes, 1ULL << 20, 1ULL << 30);
  toml.Bytes("ingest.max_memory", c.ingest.max_memory, 16ULL << 20, 1ULL << 40);
  toml.Uint32("ingest.max_threads", c.ingest.max_threads, 8, 65536);
  toml.Bytes("ingest.max_rate", c.ingest.max_rate, 0, 1ULL << 40);
  toml.Strings("ingest.revoked", c.ingest.revoked);
  toml.String("enrol.listen", c.enrol.listen);
  toml.Duration("enrol.validity", c.enrol.validity, seconds(10), hours(24 * 825));
  toml.Strings("enrol.aws_accounts", c.enrol.aws_accounts);
  toml.Strings("enrol.aws_regions", c.enrol.aws_regions);
  toml.Strings("enrol.aws_certificates", c.enrol.aws_certificates);
  toml.Duration("enrol.aws_max_age", c.enrol.aws_max_age, seconds(0), hours(24 * 36500));
  toml.Bytes("audit.segment_bytes", c.audit.segment_bytes, 1ULL << 16, 1ULL << 30);
  toml.Bytes("journal.segment_bytes", c.journal.segment_bytes, 1ULL << 20, 4ULL << 30);
  toml.Bytes("journal.max_bytes", c.journal.max_bytes, 0, kNoLimit);
  toml.Duration("journal.max_age", c.journal.max_age, seconds(0), hours(24 * 36500));
  toml.Duration("index.commit_interval", c.index.commit_interval, milliseconds(10), seconds(60));
  toml.Uint32("index.part_rows", c.index.part_rows, 10'000, 100'000'000);
  toml.Duration("index.part_age", c.index.part_age, seconds(60), hours(24 * 31));
  toml.Bytes("index.max_bytes", c.index.max_bytes, 0, kNoLimit);
  toml.Duration("index.max_age", c.index.max_age, seconds(0), hours(24 * 36500));
  toml.Bytes("disk.warn_free", c.disk.warn_free, 0, kNoLimit);
  toml.Bytes("disk.critical_free", c.disk.critical_free, 0, kNoLimit);
  toml.Path("geo.ip_ranges", c.geo.ip_ranges);
  toml.Strings("geo.mmdb", c.geo.mmdb);
  toml.Path("cost.prices", c.cost.prices);
  toml.String("cost.region", c.cost.region);
  toml.String("metrics.listen", c.metrics.listen);
  toml.Choice("snapshot.on_finding", c.snapshot.on_finding,
              {"off", "low", "medium", "high", "critical"});
  toml.Duration("snapshot.finding_interval", c.snapshot.finding_interval, seconds(0),
                hours(24 * 366));
  toml.Bytes("snapshot.max_bytes", c.snapshot.max_bytes, 0, kNoLimit);
  toml.Bytes("snapshot.max_bundle_bytes", c.snapshot.max_bundle_bytes, 1ULL << 20, kNoLimit);
  toml.Bytes("snapshot.min_free", c.snapshot.min_free, 0, kNoLimit);
  toml.Duration("snapshot.give_up", c.snapshot.give_up, seconds(1), hours(24 * 366));
  ReadThresholds(toml, &c.detect);
  ReadAlertTargets(toml, &c.alerts);
  CheckMeaning(c, toml);
  TRY_VOID(toml.Finish());
  return c;
}

Result<CollectorConfig> LoadCollectorConfig(const std::string& path) {
  const std::string file = path.empty() ? std::string(kDefaultConfigPath) : path;
  if (path.empty() && access(file.c_str(), F_OK) != 0 && errno == ENOENT) return CollectorConfig();
  TRY(const std::string text, ReadFileBounded(file, TomlReader::kMaxFileBytes));
  return ParseCollectorConfig(text, file);
}

std::string FormatCollectorConfig(const CollectorConfig& c) {
  std::string out;
  const auto add = [&](std::string_view name, const auto& value) {
    out += fmt::format("{} = {}\n", name, value);
  };
  add("listen", Quoted(c.listen));
  add("data_dir", Quoted(c.data_dir));
  add("pki_dir", Quoted(c.pki()));
  add("server_names", QuotedList(c.server_names));
  add("log_level", Quoted(c.log_level));
  add("drain", Span(c.drain));
  out += "\n[ingest]\n";
  add("max_inflight_frames", c.ingest.max_inflight_frames);
  add("max_inflight_bytes", c.ingest.max_inflight_bytes);
  add("max_memory", c.ingest.max_memory);
  add("max_threads", c.ingest.max_threads);
  add("max_rate", c.ingest.max_rate);
  add("revoked", QuotedList(c.ingest.revoked));
  out += "\n[enrol]\n";
  add("listen", Quoted(c.enrol.listen));
  add("validity", Span(c.enrol.validity));
  add("aws_accounts", QuotedList(c.enrol.aws_accounts));
  add("aws_regions", QuotedList(c.enrol.aws_regions));
  add("aws_certificates", QuotedList(c.enrol.aws_certificates));
  add("aws_max_age", Span(c.enrol.aws_max_age));
  out += "\n[audit]\n";
  add("segment_bytes", c.audit.segment_bytes);
  out += "\n[journal]\n";
  add("segment_bytes", c.journal.segment_bytes);
  add("max_bytes", c.journal.max_bytes);
  add("max_age", Span(c.journal.max_age));
  out += "\n[index]\n";
  add("commit_interval", Span(c.index.commit_interval));
  add("part_rows", c.index.part_rows);
  add("part_age", Span(c.index.part_age));
  add("max_bytes", c.index.max_bytes);
  add("max_age", Span(c.index.max_age));
  out += "\n[disk]\n";
  add("warn_free", c.disk.warn_free);
  add("critical_free", c.disk.critical_free);
  out += "\n[geo]\n";
  add("ip_ranges", Quoted(c.ip_ranges()));
  add("mmdb", QuotedList(c.geo.mmdb));
  out += "\n[cost]\n";
  add("prices", Quoted(c.cost.prices));
  add("region", Quoted(c.cost.region));
  out += "\n[metrics]\n";
  add("listen", Quoted(c.metrics.listen));
  out += "\n[snapshot]\n";
  add("on_finding", Quoted(c.snapshot.on_finding));
  add("finding_interval", Span(c.snapshot.finding_interval));
  add("max_bytes", c.snapshot.max_bytes);
  add("max_bundle_bytes", c.snapshot.max_bundle_bytes);
  add("min_free", c.snapshot.min_free);
  add("give_up", Span(c.snapshot.give_up));
  out += FormatThresholds(c.detect);
  out += FormatAlertTargets(c.alerts);
  return out;
}

}  // namespace culprit
