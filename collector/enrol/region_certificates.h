// SPDX-License-Identifier: Apache-2.0
// The certificates by which AWS signs instance identity documents, one or more for each region, from
// a text file that an operator can add to: a line "region NAME [NAME...]" and then PEM certificates
// for those regions; "#" begins a comment line. Stage: enrol. Pure. Thread: values. Total on any
// bytes.
#ifndef CULPRIT_COLLECTOR_ENROL_REGION_CERTIFICATES_H_
#define CULPRIT_COLLECTOR_ENROL_REGION_CERTIFICATES_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace culprit {

inline constexpr std::size_t kMaxRegionFileBytes = 1 << 20;

using RegionCertificates = std::map<std::string, std::vector<std::string>>;  // PEM by region

// Errors: kInvalidArgument, with the line.
Result<RegionCertificates> ParseRegionCertificates(std::string_view text);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ENROL_REGION_CERTIFICATES_H_
