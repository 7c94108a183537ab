// SPDX-License-Identifier: Apache-2.0
#include "collector/place_files.h"

#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>

#include <utility>

#include "common/file.h"
#include "common/log.h"

namespace culprit {
namespace {

std::string SignatureOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return "-;";
  return fmt::format("{}.{}.{}.{};", info.st_ino, info.st_size, info.st_mtim.tv_sec,
                     info.st_mtim.tv_nsec);
}

Result<std::shared_ptr<const IpRanges>> LoadRanges(const std::string& path) {
  TRY(const std::string text, ReadWholeFile(path, kMaxIpRangesBytes));
  auto ranges = IpRanges::Parse(text);
  if (!ranges) return std::move(ranges).error().Context(path);
  return std::make_shared<const IpRanges>(std::move(*ranges));
}

Result<std::shared_ptr<const PriceTable>> LoadPrices(const std::string& path) {
  TRY(const std::string text, ReadWholeFile(path, kMaxPriceFileBytes));
  TRY(PriceTable table, PriceTable::Parse(text, path));
  return std::make_shared<const PriceTable>(std::move(table));
}

Result<std::shared_ptr<const MmdbFiles>> LoadNetworks(const std::vector<std::string>& paths) {
  TRY(MmdbFiles files, MmdbFiles::Open(paths));
  return std::make_shared<const MmdbFiles>(std::move(files));
}

// Takes what was loaded, or keeps what was there and says so.
template <class T>
void Take(Result<std::shared_ptr<const T>> loaded, std::string_view remedy,
          std::shared_ptr<const T>* table, std::vector<std::string>* problems) {
  if (loaded) {
    *table = std::move(*loaded);
    return;
  }
  const bool gone = loaded.error().code == Code::kNotFound;
  if (gone) table->reset();
  problems->push_back(fmt::format("{}; {}{}", loaded.error().message,
                                  *table == nullptr ? "" : "what was read before stays in force; ",
                                  remedy));
}

}  // namespace

PlaceFiles::PlaceFiles(const CollectorConfig& config)
    : ip_ranges_(config.ip_ranges()),
      prices_(config.cost.prices),
      region_(config.cost.region),
      mmdb_(config.geo.mmdb),
      signature_(Signature()),
      tables_(std::make_shared<const PlaceTables>(Load(nullptr))) {
  for (const std::string& problem : Read()->problems) spdlog::info("places {}", problem);
}

std::string PlaceFiles::Signature() const {
  std::string out = SignatureOf(ip_ranges_) + SignatureOf(prices_);
  for (const std::string& path : mmdb_) out += SignatureOf(path);
  return out;
}

PlaceTables PlaceFiles::Load(const PlaceTables* before) const {
  PlaceTables out;
  if (before != nullptr) out = *before;
  out.problems.clear();
  out.ip_ranges_file = ip_ranges_;
  out.prices_file = prices_;
  out.region = region_;
  Take(LoadRanges(ip_ranges_),
       "without it regions are unknown: put https://ip-ranges.amazonaws.com/ip-ranges.json there",
       &out.geo.aws, &out.problems);
  Take(LoadPrices(prices_), "without it costs are unknown: put deploy/prices.toml there",
       &out.prices, &out.problems);
  if (!mmdb_.empty()) {
    Take(LoadNetworks(mmdb_), "correct geo.mmdb in collector.toml", &out.geo.networks,
         &out.problems);
  }
  return out;
}

void PlaceFiles::Refresh() {
  std::string now = Signature();
  if (now == signature_) return;
  signature_ = std::move(now);
  const std::shared_ptr<const PlaceTables> before = Read();
  auto tables = std::make_shared<const PlaceTables>(Load(before.get()));
  for (const std::string& problem : tables->problems) spdlog::warn("places {}", problem);
  spdlog::info("places read again aws_prefixes={} prices={}",
               tables->geo.aws ? tables->geo.aws->prefixes() : 0,
               tables->prices ? tables->prices->date() : "none");
  const std::lock_guard lock(mutex_);
  tables_ = std::move(tables);
}

std::shared_ptr<const PlaceTables> PlaceFiles::Read() const {
  const std::lock_guard lock(mutex_);
  return tables_;
}

}  // namespace culprit
