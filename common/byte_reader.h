// SPDX-License-Identifier: Apache-2.0
// Reads a message in network byte order from its front. A read past the end gives zero or nothing, takes what was left and sets a
// flag that stays: a parser checks once after several reads, and a loop over what is left ends.
// Stage: common. Thread: values; the bytes are the caller's.
#ifndef CULPRIT_COMMON_BYTE_READER_H_
#define CULPRIT_COMMON_BYTE_READER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/bytes.h"

namespace culprit {

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }  // false once something was asked for that was not there
  std::size_t position() const { return position_; }
  std::string_view rest() const { return bytes_.substr(position_); }

  std::uint8_t U8() { return Int<std::uint8_t>(); }
  std::uint16_t U16() { return Int<std::uint16_t>(); }
  std::uint32_t U32() { return Int<std::uint32_t>(); }
  std::uint64_t U64() { return Int<std::uint64_t>(); }
  std::uint32_t U24() {
    const std::uint32_t high = U8();
    return high << 16 | U16();
  }
  std::string_view Take(std::size_t n) {
    if (!Has(n)) return {};
    const std::string_view taken = bytes_.substr(position_, n);
    position_ += n;
    return taken;
  }
  // As Take, but gives what there is of them.
  std::string_view TakeUpTo(std::size_t n) {
    const std::string_view taken = bytes_.substr(position_, n);
    position_ += taken.size();
    ok_ = ok_ && taken.size() == n;
    return taken;
  }

 private:
  template <class T>
  T Int() {
    if (!Has(sizeof(T))) return 0;
    const T value = LoadBe<T>(bytes_.data() + position_);
    position_ += sizeof(T);
    return value;
  }
  bool Has(std::size_t n) {
    ok_ = ok_ && bytes_.size() - position_ >= n;
    if (!ok_) position_ = bytes_.size();
    return ok_;
  }

  std::string_view bytes_;
  std::size_t position_ = 0;
  bool ok_ = true;
};

}  // namespace culprit

#endif  // CULPRIT_COMMON_BYTE_READER_H_
