// SPDX-License-Identifier: Apache-2.0
#include "agent/names/stream_head.h"

#include <algorithm>

namespace culprit {

std::string_view StreamHead::in_order() const {
  if (pieces_.empty() || pieces_.front().begin != 0) return {};
  return std::string_view(bytes_).substr(0, pieces_.front().end);
}

bool StreamHead::Add(std::uint64_t offset, std::string_view bytes) {
  if (offset >= limit_ || bytes.empty()) return false;
  Piece added;
  added.begin = static_cast<std::size_t>(offset);
  added.end = added.begin + std::min(bytes.size(), limit_ - added.begin);
  const std::size_t before = in_order().size();

  // Pieces that the new one overlaps or touches become one with it.
  const auto first = std::find_if(pieces_.begin(), pieces_.end(),
                                  [&](const Piece& p) { return p.end >= added.begin; });
  auto last = first;
  while (last != pieces_.end() && last->begin <= added.end) ++last;
  if (first == last && pieces_.size() >= kMaxStreamPieces) return false;

  if (bytes_.size() < added.end) bytes_.resize(added.end);
  std::size_t at = added.begin;  // up to here everything is in place
  for (auto piece = first; piece != last; ++piece) {
    if (piece->begin > at) {
      bytes.substr(at - added.begin).copy(bytes_.data() + at, piece->begin - at);
    }
    at = std::max(at, piece->end);
  }
  if (at < added.end) bytes.substr(at - added.begin).copy(bytes_.data() + at, added.end - at);

  if (first == last) {
    pieces_.insert(first, added);
  } else {
    first->begin = std::min(first->begin, added.begin);
    first->end = std::max(std::prev(last)->end, added.end);
    pieces_.erase(first + 1, last);
  }
  return in_order().size() > before;
}

}  // namespace culprit
