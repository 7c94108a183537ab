// SPDX-License-Identifier: Apache-2.0
// Metrics in Prometheus' text exposition format 0.0.4. Families in the order in which they are
// written, each with HELP and TYPE; label values may be any bytes.
//
//   MetricText text;
//   text.Counter("culprit_agent_frames_total", "Frames written.");
//   text.Sample({{"lane", "bulk"}}, 7);
//
// Stage: common. Pure. Thread: one caller. Names are the caller's, and must be right.
#ifndef CULPRIT_COMMON_METRIC_TEXT_H_
#define CULPRIT_COMMON_METRIC_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/time.h"

namespace culprit {

// Since 1970-01-01 UTC, to the millisecond.
double UnixSeconds(WallTime time);

class MetricText {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

  void Counter(std::string_view name, std::string_view help) { Family(name, help, "counter"); }
  void Gauge(std::string_view name, std::string_view help) { Family(name, help, "gauge"); }
  // Of the newest family. Whole numbers are written whole.
  void Sample(const Labels& labels, std::uint64_t value);
  void Sample(const Labels& labels, double value);
  // A family of one sample.
  void Counter(std::string_view name, std::string_view help, std::uint64_t value) {
    Counter(name, help);
    Sample({}, value);
  }
  template <class Number>
  void Gauge(std::string_view name, std::string_view help, Number value) {
    Gauge(name, help);
    Sample({}, value);
  }

  const std::string& text() const { return text_; }

 private:
  void Family(std::string_view name, std::string_view help, std::string_view type);
  void Name(const Labels& labels);

  std::string name_, text_;
};

}  // namespace culprit

#endif  // CULPRIT_COMMON_METRIC_TEXT_H_
