// SPDX-License-Identifier: Apache-2.0
// JsonWriter: JSON text, one value after the other. Text that is not valid UTF-8 is escaped as
// evidence is (\xNN). Stage: wiring. Pure. Thread: one caller. The caller closes what it opens.
#ifndef CULPRIT_AGENT_JSON_WRITER_H_
#define CULPRIT_AGENT_JSON_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace culprit {

class JsonWriter {
 public:
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
  JsonWriter& Key(std::string_view name) {
    Separate();
    Quote(name);
    text_.push_back(':');
    first_ = true;
    return *this;
  }
  void Text(std::string_view value) {
    Separate();
    Quote(value);
  }
  void Number(std::uint64_t value) { Raw(std::to_string(value)); }
  void Signed(std::int64_t value) { Raw(std::to_string(value)); }
  void Flag(bool value) { Raw(value ? "true" : "false"); }

  void Field(std::string_view name, std::string_view value) { Key(name).Text(value); }
  void Field(std::string_view name, std::uint64_t value) { Key(name).Number(value); }
  void FlagField(std::string_view name, bool value) { Key(name).Flag(value); }

  const std::string& text() const { return text_; }

 private:
  void Raw(std::string_view value) {
    Separate();
    text_.append(value);
  }
  void Separate() {
    if (!first_) text_.push_back(',');
    first_ = false;
  }
  void Quote(std::string_view value);

  std::string text_;
  bool first_ = true;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_JSON_WRITER_H_
