// SPDX-License-Identifier: Apache-2.0
// AWS's own list of its addresses (ip-ranges.json): region and service of an address.
//
// Stage: geo. Pure. Thread: immutable once made, any number of readers. Memory: 20 bytes for each
// border between ranges, some 600 KiB for AWS's whole list. Failure: total on any bytes; an error
// says what is wrong and where.
#ifndef CULPRIT_COLLECTOR_GEO_IP_RANGES_H_
#define CULPRIT_COLLECTOR_GEO_IP_RANGES_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/net_address.h"
#include "common/result.h"
#include "common/time.h"

namespace culprit {

inline constexpr std::size_t kMaxIpRangesBytes = 64U << 20;
inline constexpr std::size_t kMaxIpRanges = 1'000'000;

struct AwsPlace {
  std::string region;   // "me-south-1"; "GLOBAL" for what has none
  std::string service;  // "EC2", "S3", …; "AMAZON" where nothing closer is said
};

class IpRanges {
 public:
  // Of `json`, the file's content. Errors: kInvalidArgument.
  static Result<IpRanges> Parse(std::string_view json);

  // The longest prefix that holds the address says the region; the service is that of the longest
  // prefix of this region that names more than AMAZON. Null = none of AWS's.
  const AwsPlace* Find(const IpAddress& address) const;

  // createDate: when AWS made the list.
  WallTime created() const { return created_; }
  std::size_t prefixes() const { return prefixes_; }

 private:
  static constexpr std::uint32_t kNowhere = 0xffffffff;
  struct Border {
    std::array<std::uint8_t, 16> first;  // the place holds from here on, up to the next border
    std::uint32_t place = kNowhere;
  };
  class Builder;

  std::vector<Border> borders_;
  std::vector<AwsPlace> places_;
  WallTime created_;
  std::size_t prefixes_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_GEO_IP_RANGES_H_
