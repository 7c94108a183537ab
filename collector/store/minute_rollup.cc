// SPDX-License-Identifier: Apache-2.0
#include "collector/store/minute_rollup.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace culprit {
namespace {

constexpr std::size_t kExact = 32;
constexpr std::size_t kRegisters = 256;
constexpr std::int64_t kMaxMinutes = 120;

std::uint64_t HashOf(const IpAddress& address) {
  std::uint64_t high = 0, low = 0;
  std::memcpy(&high, address.bytes().data(), 8);
  std::memcpy(&low, address.bytes().data() + 8, 8);
  return MixBits((high * 0x9e3779b97f4a7c15ULL) ^ low);
}

}  // namespace

void DistinctSketch::Insert(const IpAddress& address) { InsertHash(HashOf(address)); }

void DistinctSketch::InsertHash(std::uint64_t hash) {
  if (registers_.empty()) {
    const auto at = std::lower_bound(exact_.begin(), exact_.end(), hash);
    if (at != exact_.end() && *at == hash) return;
    exact_.insert(at, hash);
    if (exact_.size() > kExact) Spread();
    return;
  }
  const std::size_t index = hash >> 56;
  const auto rank = static_cast<std::uint8_t>(std::countl_zero((hash << 8) | 0x80) + 1);
  registers_[index] = std::max(registers_[index], rank);
}

void DistinctSketch::Spread() {
  registers_.assign(kRegisters, 0);
  for (const std::uint64_t hash : exact_) InsertHash(hash);
  exact_.clear();
}

void DistinctSketch::Merge(const DistinctSketch& other) {
  for (const std::uint64_t hash : other.exact_) InsertHash(hash);
  if (other.registers_.empty()) return;
  if (registers_.empty()) Spread();
  for (std::size_t i = 0; i < kRegisters; ++i) {
    registers_[i] = std::max(registers_[i], other.registers_[i]);
  }
}

std::uint64_t DistinctSketch::Count() const {
  if (registers_.empty()) return exact_.size();
  double sum = 0;
  int zeros = 0;
  for (const std::uint8_t r : registers_) {
    sum += std::ldexp(1.0, -int{r});
    zeros += r == 0 ? 1 : 0;
  }
  constexpr double kM = kRegisters;
  double estimate = 0.7213 / (1 + 1.079 / kM) * kM * kM / sum;
  if (estimate <= 2.5 * kM && zeros > 0) estimate = kM * std::log(kM / zeros);
  return static_cast<std::uint64_t>(std::llround(estimate));
}

// One byte says which form follows.
std::string DistinctSketch::Encode() const {
  if (!registers_.empty()) return "r" + std::string(registers_.begin(), registers_.end());
  std::string out(1 + exact_.size() * 8, 'e');
  if (!exact_.empty()) std::memcpy(out.data() + 1, exact_.data(), out.size() - 1);
  return out;
}

DistinctSketch DistinctSketch::Decode(std::string_view bytes) {
  DistinctSketch out;
  if (bytes.empty()) return out;
  const std::string_view body = bytes.substr(1);
  if (bytes[0] == 'r' && body.size() == kRegisters) {
    out.registers_.assign(body.begin(), body.end());
  } else if (bytes[0] == 'e' && body.size() % 8 == 0 && body.size() <= kExact * 8) {
    out.exact_.resize(body.size() / 8);
    if (!body.empty()) std::memcpy(out.exact_.data(), body.data(), body.size());
  }
  return out;
}

std::int64_t MinuteOf(WallTime t) {
  const std::int64_t ns = ToNs(t);
  return ns / kMinuteNs - (ns % kMinuteNs < 0 ? 1 : 0);
}

Window MinuteWindow(std::int64_t minute) {
  return {WallTimeFromNs(minute * kMinuteNs), WallTimeFromNs((minute + 1) * kMinuteNs)};
}

MinuteSpan MinutesOf(WallTime t0, WallTime t1) {
  const std::int64_t last = MinuteOf(t1);
  const std::int64_t first = MinuteOf(t0);
  return {last - first > kMaxMinutes ? last : first, last};
}

std::uint64_t MinuteShare(std::uint64_t value, WallTime t0, WallTime t1, MinuteSpan span,
                          std::int64_t minute) {
  if (span.first == span.last) return value;
  const Window window = MinuteWindow(minute);
  return window.Touches(t0, t1) ? Share(value, t0, t1, window) : 0;
}

}  // namespace culprit
