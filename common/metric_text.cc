// SPDX-License-Identifier: Apache-2.0
#include "common/metric_text.h"

#include <charconv>

#include "common/text.h"

namespace culprit {
namespace {

// `quote`: of a label's value, where a quote ends it.
std::string Escaped(std::string_view text, bool quote) {
  std::string out;
  for (const char c : EscapeText(text)) {
    if (c == '\\' || (quote && c == '"')) out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

template <class Number>
std::string Digits(Number value) {
  char digits[32];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), value).ptr;
  return {digits, end};
}

}  // namespace

double UnixSeconds(WallTime time) {
  const std::int64_t milliseconds = ToNs(time) / 1'000'000;
  return static_cast<double>(milliseconds) / 1e3;
}

void MetricText::Family(std::string_view name, std::string_view help, std::string_view type) {
  name_ = name;
  text_.append("# HELP ").append(name).append(" ").append(Escaped(help, false));
  text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void MetricText::Name(const Labels& labels) {
  text_ += name_;
  if (labels.empty()) return;
  char separator = '{';
  for (const auto& [label, value] : labels) {
    text_.push_back(separator);
    text_.append(label).append("=\"").append(Escaped(value, true)).append("\"");
    separator = ',';
  }
  text_.push_back('}');
}

void MetricText::Sample(const Labels& labels, std::uint64_t value) {
  Name(labels);
  text_.append(" ").append(Digits(value)).append("\n");
}

void MetricText::Sample(const Labels& labels, double value) {
  Name(labels);
  text_.append(" ").append(Digits(value)).append("\n");
}

}  // namespace culprit
