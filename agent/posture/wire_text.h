// SPDX-License-Identifier: Apache-2.0
// WireText: strings with their length before them, as SSH writes them. Stage: posture, pure.
// Thread: values; views into the bytes that it was given.
#ifndef CULPRIT_AGENT_POSTURE_WIRE_TEXT_H_
#define CULPRIT_AGENT_POSTURE_WIRE_TEXT_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace culprit {

class WireText {
 public:
  explicit WireText(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  std::optional<std::string_view> Take(std::size_t count) {
    if (count > rest_.size()) return std::nullopt;
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::optional<std::uint32_t> U32() {
    const auto bytes = Take(4);
    if (!bytes) return std::nullopt;
    std::uint32_t value = 0;
    for (const char c : *bytes) value = value << 8U | static_cast<unsigned char>(c);
    return value;
  }
  std::optional<std::string_view> Next() {
    const auto length = U32();
    return length ? Take(*length) : std::nullopt;
  }

 private:
  std::string_view rest_;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_WIRE_TEXT_H_
