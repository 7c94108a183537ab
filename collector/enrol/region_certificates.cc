// SPDX-License-Identifier: Apache-2.0
#include "collector/enrol/region_certificates.h"

#include <algorithm>

#include "common/ascii.h"
#include "common/credentials.h"

namespace culprit {
namespace {

constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
constexpr std::string_view kRegion = "region ";
constexpr std::size_t kMaxCertificateBytes = 16'384;

bool IsRegion(std::string_view name) {
  return !name.empty() && name.size() <= 32 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Result<std::vector<std::string>> ReadRegions(std::string_view names) {
  std::vector<std::string> regions;
  while (!names.empty()) {
    const std::string_view name = NextUntil(&names, ' ');
    if (name.empty()) continue;
    if (!IsRegion(name)) return InvalidArgument("\"" + std::string(name) + "\" is no region");
    regions.emplace_back(name);
  }
  if (regions.empty()) return InvalidArgument("a line \"region\" needs a name");
  return regions;
}

Result<std::string> ReadPem(std::string_view* text, int* number) {
  std::string pem = std::string(kBegin) + "\n";
  while (!text->empty()) {
    const std::string_view line = TrimBack(NextLine(text), "\r ");
    ++*number;
    pem += std::string(line) + "\n";
    if (pem.size() > kMaxCertificateBytes) break;
    if (line != kEnd) continue;
    if (!ReadCertificate(pem)) return InvalidArgument("not a certificate");
    return pem;
  }
  return InvalidArgument("a certificate without its END line");
}

}  // namespace

Result<RegionCertificates> ParseRegionCertificates(std::string_view text) {
  if (text.size() > kMaxRegionFileBytes) return InvalidArgument("over 1 MiB");
  RegionCertificates out;
  std::vector<std::string> regions;
  const auto at = [](int number, Error error) {
    return std::move(error).Context("line " + std::to_string(number));
  };
  for (int number = 1; !text.empty(); ++number) {
    const std::string_view line = TrimBack(NextLine(&text), "\r ");
    if (line.empty() || line.front() == '#') continue;
    if (line.starts_with(kRegion)) {
      auto read = ReadRegions(line.substr(kRegion.size()));
      if (!read) return at(number, std::move(read).error());
      regions = std::move(*read);
      continue;
    }
    if (line != kBegin || regions.empty()) {
      return at(number, InvalidArgument("expected \"region NAME\", and then PEM certificates"));
    }
    auto pem = ReadPem(&text, &number);
    if (!pem) return at(number, std::move(pem).error());
    for (const std::string& region : regions) out[region].push_back(*pem);
  }
  return out;
}

}  // namespace culprit
