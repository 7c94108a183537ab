// SPDX-License-Identifier: Apache-2.0
// StrongId: an integer or string with a meaning of its own, so that a pid cannot be passed for a uid.
// Stage: common. Thread: values.
#ifndef CULPRIT_COMMON_STRONG_ID_H_
#define CULPRIT_COMMON_STRONG_ID_H_

#include <compare>
#include <functional>
#include <utility>

namespace culprit {

template <class Tag, class Rep>
class StrongId {
 public:
  using rep = Rep;
  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) : value_(std::move(value)) {}
  constexpr const Rep& value() const { return value_; }
  friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;

 private:
  Rep value_{};
};

}  // namespace culprit

template <class Tag, class Rep>
struct std::hash<culprit::StrongId<Tag, Rep>> {
  std::size_t operator()(const culprit::StrongId<Tag, Rep>& id) const noexcept {
    return std::hash<Rep>{}(id.value());
  }
};

#endif  // CULPRIT_COMMON_STRONG_ID_H_
