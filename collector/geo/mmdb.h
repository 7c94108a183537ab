// SPDX-License-Identifier: Apache-2.0
// Country and network (ASN) of an address out of MaxMind-format databases that the operator brings.
//
// Stage: geo (edge: libmaxminddb maps the files). Thread: immutable once open, any number of
// readers. Failure: Open() names the file and what is wrong with it; an address that a file does
// not know is no error.
#ifndef CULPRIT_COLLECTOR_GEO_MMDB_H_
#define CULPRIT_COLLECTOR_GEO_MMDB_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/net_address.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

struct NetworkPlace {
  std::string country;    // ISO 3166-1 code; empty = not known
  std::uint32_t asn = 0;  // 0 = not known
  std::string as_name;
};

class MmdbFiles {
 public:
  struct Info {
    std::string path, type;
    WallTime built;
  };

  MmdbFiles();
  ~MmdbFiles();
  MmdbFiles(MmdbFiles&&) noexcept;
  MmdbFiles& operator=(MmdbFiles&&) noexcept;

  static Result<MmdbFiles> Open(const std::vector<std::string>& paths);
  // What the files say, the first that says something holds. Takes what GeoLite2, DB-IP and
  // ip-location-db call the fields.
  NetworkPlace Find(const IpAddress& address) const;
  std::vector<Info> info() const;

 private:
  struct File;
  std::vector<std::unique_ptr<File>> files_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_GEO_MMDB_H_
