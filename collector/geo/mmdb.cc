// SPDX-License-Identifier: Apache-2.0
#include "collector/geo/mmdb.h"

#include <maxminddb.h>
#include <netinet/in.h>
#include <spdlog/fmt/fmt.h>
#include <sys/socket.h>

#include <cstring>

namespace culprit {

struct MmdbFiles::File {
  File() = default;
  ~File() {
    if (open) MMDB_close(&db);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::string path;
  MMDB_s db{};
  bool open = false;
};

namespace {

constexpr std::uint32_t kMaxName = 128;

// The first of `paths` that the entry has as `type`.
template <std::size_t N>
bool Value(MMDB_entry_s* entry, const char* const (&path)[N], std::uint32_t type,
           MMDB_entry_data_s* out) {
  return MMDB_aget_value(entry, out, path) == MMDB_SUCCESS && out->has_data && out->type == type;
}

template <std::size_t N>
void Text(MMDB_entry_s* entry, const char* const (&path)[N], std::string* out) {
  MMDB_entry_data_s data;
  if (!out->empty() || !Value(entry, path, MMDB_DATA_TYPE_UTF8_STRING, &data)) return;
  out->assign(data.utf8_string, std::min(data.data_size, kMaxName));
}

void Fill(MMDB_entry_s* entry, NetworkPlace* place) {
  static constexpr const char* kCountry[] = {"country", "iso_code", nullptr};
  static constexpr const char* kCountryCode[] = {"country_code", nullptr};
  static constexpr const char* kAsn[] = {"autonomous_system_number", nullptr};
  static constexpr const char* kAsName[] = {"autonomous_system_organization", nullptr};
  Text(entry, kCountry, &place->country);
  Text(entry, kCountryCode, &place->country);
  MMDB_entry_data_s data;
  if (place->asn == 0 && Value(entry, kAsn, MMDB_DATA_TYPE_UINT32, &data)) {
    place->asn = data.uint32;
    Text(entry, kAsName, &place->as_name);
  }
}

}  // namespace

MmdbFiles::MmdbFiles() = default;
MmdbFiles::~MmdbFiles() = default;
MmdbFiles::MmdbFiles(MmdbFiles&&) noexcept = default;
MmdbFiles& MmdbFiles::operator=(MmdbFiles&&) noexcept = default;

Result<MmdbFiles> MmdbFiles::Open(const std::vector<std::string>& paths) {
  MmdbFiles out;
  for (const std::string& path : paths) {
    auto file = std::make_unique<File>();
    file->path = path;
    const int status = MMDB_open(path.c_str(), MMDB_MODE_MMAP, &file->db);
    if (status == MMDB_IO_ERROR || status == MMDB_FILE_OPEN_ERROR) return ErrnoError(path);
    if (status != MMDB_SUCCESS) {
      return InvalidArgument(fmt::format("{}: not a MaxMind DB: {}", path, MMDB_strerror(status)));
    }
    file->open = true;
    out.files_.push_back(std::move(file));
  }
  return out;
}

NetworkPlace MmdbFiles::Find(const IpAddress& address) const {
  NetworkPlace place;
  for (const auto& file : files_) {
    sockaddr_storage storage{};
    if (address.IsV4()) {
      auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
      v4->sin_family = AF_INET;
      std::memcpy(&v4->sin_addr, address.bytes().data() + 12, 4);
    } else {
      auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
      v6->sin6_family = AF_INET6;
      std::memcpy(&v6->sin6_addr, address.bytes().data(), 16);
    }
    int error = MMDB_SUCCESS;
    MMDB_lookup_result_s found =
        MMDB_lookup_sockaddr(&file->db, reinterpret_cast<const sockaddr*>(&storage), &error);
    if (error == MMDB_SUCCESS && found.found_entry) Fill(&found.entry, &place);
  }
  return place;
}

std::vector<MmdbFiles::Info> MmdbFiles::info() const {
  std::vector<Info> out;
  for (const auto& file : files_) {
    const MMDB_metadata_s& metadata = file->db.metadata;
    out.push_back({file->path, metadata.database_type,
                   WallTime(std::chrono::seconds(static_cast<std::int64_t>(
                       std::min<std::uint64_t>(metadata.build_epoch, 9'000'000'000))))});
  }
  return out;
}

}  // namespace culprit
