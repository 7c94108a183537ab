// SPDX-License-Identifier: Apache-2.0
// The daemons' log: spdlog's default logger on stderr. `spdlog::info("agent connected name={}
// peer={}", …)`.
//
// Stage: common, edge (stderr). Thread: InitLog() once from main; logging from any thread.
// Form, by where stderr goes: a journal (JOURNAL_STREAM names it) gets "<PRIORITY>message", a
// terminal gets local time and colours, a file or pipe gets UTC time and the level. Control
// characters in messages are escaped, so that no text from a host can forge a line. Never log key
// material.
#ifndef CULPRIT_COMMON_LOG_H_
#define CULPRIT_COMMON_LOG_H_

#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"

namespace culprit {

enum class LogForm { kJournal, kTerminal, kPlain };

// What InitLog() chooses. JOURNAL_STREAM is "DEVICE:INODE" of the descriptor that the journal
// reads.
LogForm DetectLogForm();

// `level`: "trace", "debug", "info", "warning", "error". `daemon` is the logger's name.
Status InitLog(const std::string& daemon, std::string_view level, LogForm form = DetectLogForm());

// One formatter for all forms; separate for tests.
std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogForm form);

// Lets one message through per interval and counts the rest:
//   if (const auto n = limit.Allow(); n > 0) spdlog::warn("queue full dropped={}", n);
class LogLimit {
 public:
  explicit LogLimit(std::chrono::nanoseconds interval) : interval_(interval) {}
  // 0 = stay silent; else the number of calls that this message stands for, itself included.
  std::uint64_t Allow(std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now());

 private:
  std::chrono::nanoseconds interval_;
  std::atomic<std::int64_t> next_ns_{0};
  std::atomic<std::uint64_t> calls_{0};
};

}  // namespace culprit

#endif  // CULPRIT_COMMON_LOG_H_
