// SPDX-License-Identifier: Apache-2.0
// AWS's whole list: every prefix's first and last address and those beside it against a search
// through all prefixes, what the table takes, how long it takes to read and to look up.
// Usage: ip_ranges_bench FILE (ip-ranges.json)
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <sstream>

#include "collector/geo/ip_ranges.h"

namespace culprit {
namespace {

struct Prefix {
  Cidr block;
  std::string region, service;
};

std::vector<Prefix> AllPrefixes(const std::string& text) {
  std::vector<Prefix> out;
  const auto root = nlohmann::json::parse(text);
  for (const auto& [list, key] :
       {std::pair{"prefixes", "ip_prefix"}, std::pair{"ipv6_prefixes", "ipv6_prefix"}}) {
    for (const auto& row : root[list]) {
      out.push_back({*Cidr::Parse(row[key].get<std::string>()), row["region"], row["service"]});
    }
  }
  return out;
}

int Closeness(const Prefix& p) { return p.service == "AMAZON" ? 0 : p.service == "EC2" ? 1 : 2; }

// The set of answers that the promise of IpRanges::Find() allows: of equal prefixes either holds.
bool Allowed(const std::vector<Prefix>& all, const IpAddress& address, const AwsPlace* found) {
  std::vector<const Prefix*> around;
  int longest = -1;
  for (const Prefix& p : all) {
    if (!p.block.Contains(address)) continue;
    around.push_back(&p);
    longest = std::max<int>(longest, p.block.prefix_length);
  }
  if (around.empty() || found == nullptr) return around.empty() && found == nullptr;
  int length = -1, closeness = 0;
  for (const Prefix* p : around) {
    if (p->region != found->region || Closeness(*p) == 0) continue;
    const int here = p->block.prefix_length;
    if (here > length || (here == length && Closeness(*p) > closeness)) {
      length = here;
      closeness = Closeness(*p);
    }
  }
  bool region = false, service = length == -1 && found->service == "AMAZON";
  for (const Prefix* p : around) {
    if (p->region != found->region) continue;
    region |= p->block.prefix_length == longest;
    service |= p->service == found->service && p->block.prefix_length == length &&
               Closeness(*p) == closeness;
  }
  return region && service;
}

IpAddress Beside(const IpAddress& address, int step) {
  auto bytes = address.bytes();
  for (std::size_t i = bytes.size(); i-- > 0;) {
    bytes.at(i) = static_cast<std::uint8_t>(bytes.at(i) + step);
    if (bytes.at(i) != (step > 0 ? 0 : 0xff)) break;
  }
  return *IpAddress::FromBytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

int Run(const char* path) {
  std::ifstream in(path);
  std::stringstream stream;
  stream << in.rdbuf();
  const std::string text = stream.str();
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto ranges = IpRanges::Parse(text);
  const std::chrono::duration<double, std::milli> read = Clock::now() - start;
  if (!ranges) {
    std::fprintf(stderr, "ip_ranges_bench: %s: %s\n", path, ranges.error().message.c_str());
    return 1;
  }
  const std::vector<Prefix> all = AllPrefixes(text);
  std::set<IpAddress> asked;
  for (std::size_t i = 0; i < all.size(); i += 4) {
    for (const IpAddress& end : {all[i].block.First(), all[i].block.Last()}) {
      asked.insert({Beside(end, -1), end, Beside(end, 1)});
    }
  }
  std::size_t wrong = 0;
  for (const IpAddress& address : asked) {
    if (Allowed(all, address, ranges->Find(address))) continue;
    if (++wrong <= 10) std::printf("wrong: %s\n", address.ToString().c_str());
  }
  std::mt19937 random(1);
  const std::vector<IpAddress> some(asked.begin(), asked.end());
  std::size_t found = 0;
  constexpr int kLookUps = 1'000'000;
  const auto began = Clock::now();
  for (int i = 0; i < kLookUps; ++i) {
    found += ranges->Find(some[random() % some.size()]) != nullptr ? 1U : 0U;
  }
  const std::chrono::duration<double, std::nano> looked = Clock::now() - began;
  std::printf(
      "%zu prefixes, %zu addresses compared, %zu wrong; read in %.0f ms, %.0f ns a look-up (%zu "
      "found)\n",
      ranges->prefixes(), asked.size(), wrong, read.count(), looked.count() / kLookUps, found);
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: ip_ranges_bench ip-ranges.json\n");
    return 2;
  }
  return culprit::Run(argv[1]);
}
