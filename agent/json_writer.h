// SPDX-License-Identifier: Apache-2.0
// JsonWriter: JSON text, one value after the other. Text that is not valid UTF-8 is escaped as
// evidence is (\xNN). Stage: wiring. Pure. Thread: one caller. The caller closes what it opens.
// Millions of lines are written with it, hence no copies: it appends to a text that it is given.
#ifndef CULPRIT_AGENT_JSON_WRITER_H_
#define CULPRIT_AGENT_JSON_WRITER_H_

#include <charconv>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

namespace culprit {

class JsonWriter {
 public:
  JsonWriter() = default;
  // Writes behind `before`.
  explicit JsonWriter(std::string before) : text_(std::move(before)) {}

  JsonWriter& Open(char bracket) {  // '{' or '['
    Separate();
    text_.push_back(bracket);
    first_ = true;
    return *this;
  }
  JsonWriter& Close(char bracket) {
    text_.push_back(bracket);
    first_ = false;
    return *this;
  }
  // `name` needs no escape.
  JsonWriter& Key(std::string_view name) {
    Separate();
    text_.push_back('"');
    text_.append(name).append("\":");
    first_ = true;
    return *this;
  }
  void Text(std::string_view value) {
    Separate();
    Quote(value);
  }
  // Text that is escaped as evidence is already: names of agent/model/observation.h.
  void Escaped(std::string_view value) {
    Separate();
    QuoteEscaped(value);
  }
  void Number(std::uint64_t value) { Digits(value); }
  void Signed(std::int64_t value) { Digits(value); }
  void Flag(bool value) { Raw(value ? "true" : "false"); }

  void Field(std::string_view name, std::string_view value) { Key(name).Text(value); }
  void Field(std::string_view name, std::uint64_t value) { Key(name).Number(value); }
  void FlagField(std::string_view name, bool value) { Key(name).Flag(value); }

  const std::string& text() const { return text_; }
  std::string Take() && { return std::move(text_); }

 private:
  template <class Integer>
  void Digits(Integer value) {
    char digits[std::numeric_limits<Integer>::digits10 + 2];
    const auto end = std::to_chars(std::begin(digits), std::end(digits), value).ptr;
    Raw({digits, static_cast<std::size_t>(end - digits)});
  }
  void Raw(std::string_view value) {
    Separate();
    text_.append(value);
  }
  void Separate() {
    if (!first_) text_.push_back(',');
    first_ = false;
  }
  void QuotePlain(std::string_view value);
  void Quote(std::string_view value);
  void QuoteEscaped(std::string_view value);

  std::string text_;
  bool first_ = true;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_JSON_WRITER_H_
