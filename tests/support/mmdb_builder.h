// SPDX-License-Identifier: Apache-2.0
// Writes small databases in MaxMind's format 2.0, as its specification has them.
#ifndef CULPRIT_TESTS_SUPPORT_MMDB_BUILDER_H_
#define CULPRIT_TESTS_SUPPORT_MMDB_BUILDER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/net_address.h"

namespace culprit::testing {

// Data that are encoded already.
std::string MmdbText(const std::string& text);
std::string MmdbUint32(std::uint32_t value);
std::string MmdbMap(const std::vector<std::pair<std::string, std::string>>& entries);

struct MmdbNetwork {
  std::string block;  // CIDR
  std::string data;
};
// Blocks must not contain one another. `built`: seconds since 1970.
std::string BuildMmdb(const std::string& type, std::uint64_t built,
                      const std::vector<MmdbNetwork>& networks);

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_SUPPORT_MMDB_BUILDER_H_
