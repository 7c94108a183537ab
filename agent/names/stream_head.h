// SPDX-License-Identifier: Apache-2.0
// The first bytes of one direction of a stream, put in order: segments may come in any order,
// overlap or come again. Of bytes that come twice the first are kept. Stage: names. Pure. Thread:
// one caller an object.
#ifndef CULPRIT_AGENT_NAMES_STREAM_HEAD_H_
#define CULPRIT_AGENT_NAMES_STREAM_HEAD_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culprit {

inline constexpr std::size_t kStreamHeadBytes = std::size_t{16} * 1024;
inline constexpr std::size_t kMaxStreamPieces = 16;  // apart from each other; more are dropped

class StreamHead {
 public:
  explicit StreamHead(std::size_t limit = kStreamHeadBytes) : limit_(limit) {}

  // `offset` bytes behind the beginning. Returns whether in_order() grew.
  bool Add(std::uint64_t offset, std::string_view bytes);
  std::string_view in_order() const;
  bool full() const { return in_order().size() == limit_; }
  bool has_gap() const { return pieces_.size() > 1 || in_order().size() < bytes_.size(); }
  std::size_t held() const { return bytes_.capacity(); }

 private:
  struct Piece {
    std::size_t begin = 0, end = 0;
  };
  std::size_t limit_;
  std::string bytes_;          // pieces at their offsets; between them nothing that means anything
  std::vector<Piece> pieces_;  // in order, none touches the next
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_NAMES_STREAM_HEAD_H_
