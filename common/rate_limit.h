// SPDX-License-Identifier: Apache-2.0
// RateLimit: a bucket that fills with `per_second` up to `burst`. Stage: common. Pure: the time
// arrives from outside. Thread: one caller.
#ifndef CULPRIT_COMMON_RATE_LIMIT_H_
#define CULPRIT_COMMON_RATE_LIMIT_H_

#include <algorithm>
#include <chrono>

namespace culprit {

class RateLimit {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  RateLimit(double per_second, double burst)
      : per_second_(per_second), burst_(burst), credit_(burst) {}

  // Takes `amount` if it is there.
  bool Take(double amount, TimePoint now) {
    Fill(now);
    if (credit_ < amount) return false;
    credit_ -= amount;
    return true;
  }
  // Takes `amount` in any case; how long to wait until the bucket is no longer in debt.
  std::chrono::nanoseconds Charge(double amount, TimePoint now) {
    Fill(now);
    credit_ -= amount;
    if (credit_ >= 0) return std::chrono::nanoseconds(0);
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
        std::chrono::duration<double>(-credit_ / per_second_));
  }

 private:
  void Fill(TimePoint now) {
    if (now > at_ && at_ != TimePoint{}) {
      credit_ = std::min(
          burst_, credit_ + per_second_ * std::chrono::duration<double>(now - at_).count());
    }
    at_ = std::max(at_, now);
  }

  double per_second_, burst_, credit_;
  TimePoint at_;
};

}  // namespace culprit

#endif  // CULPRIT_COMMON_RATE_LIMIT_H_
