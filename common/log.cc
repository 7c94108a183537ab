// SPDX-License-Identifier: Apache-2.0
#include "common/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "common/log_level.h"
#include "common/text.h"

namespace culprit {
namespace {

// %* : the message with control characters escaped.
class EscapedPayload : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& msg, const std::tm& /*time*/,
              spdlog::memory_buf_t& dest) override {
    const std::string text = EscapeText({msg.payload.data(), msg.payload.size()});
    dest.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<EscapedPayload>();
  }
};

// %& : the level as syslog's priority number.
class Priority : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& msg, const std::tm& /*time*/,
              spdlog::memory_buf_t& dest) override {
    dest.push_back(Of(msg.level));
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<Priority>();
  }

 private:
  static char Of(spdlog::level::level_enum level) {
    switch (level) {
      case spdlog::level::critical:
        return '2';
      case spdlog::level::err:
        return '3';
      case spdlog::level::warn:
        return '4';
      case spdlog::level::info:
        return '6';
      default:
        return '7';
    }
  }
};

}  // namespace

LogForm DetectLogForm() {
  const char* stream = std::getenv("JOURNAL_STREAM");
  struct stat st {};
  if (stream != nullptr && fstat(STDERR_FILENO, &st) == 0 &&
      std::to_string(st.st_dev) + ":" + std::to_string(st.st_ino) == stream) {
    return LogForm::kJournal;
  }
  return isatty(STDERR_FILENO) == 1 ? LogForm::kTerminal : LogForm::kPlain;
}

std::unique_ptr<spdlog::formatter> MakeLogFormatter(LogForm form) {
  const auto zone = form == LogForm::kTerminal ? spdlog::pattern_time_type::local
                                               : spdlog::pattern_time_type::utc;
  auto formatter = std::make_unique<spdlog::pattern_formatter>(zone);
  formatter->add_flag<EscapedPayload>('*').add_flag<Priority>('&');
  switch (form) {
    case LogForm::kJournal:
      formatter->set_pattern("<%&>%*");
      break;
    case LogForm::kTerminal:
      formatter->set_pattern("%H:%M:%S.%e %^%-7l%$ %*");
      break;
    case LogForm::kPlain:
      formatter->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-7l %n: %*");
      break;
  }
  return formatter;
}

namespace {

Result<spdlog::level::level_enum> LevelOf(std::string_view name) {
  static constexpr std::pair<std::string_view, spdlog::level::level_enum> kLevels[] = {
      {"trace", spdlog::level::trace},
      {"debug", spdlog::level::debug},
      {"info", spdlog::level::info},
      {"warning", spdlog::level::warn},
      {"error", spdlog::level::err}};
  for (const auto& [known, value] : kLevels) {
    if (known == name) return value;
  }
  return InvalidArgument("log level \"" + std::string(name) +
                         "\": expected trace, debug, info, warning or error");
}

}  // namespace

Status InitLog(const std::string& daemon, std::string_view level, LogForm form) {
  TRY(const spdlog::level::level_enum value, LevelOf(level));
  const char* no_color = std::getenv("NO_COLOR");
  const bool colour = form == LogForm::kTerminal && (no_color == nullptr || *no_color == '\0');
  auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(
      colour ? spdlog::color_mode::always : spdlog::color_mode::never);
  auto logger = std::make_shared<spdlog::logger>(daemon, std::move(sink));
  logger->set_formatter(MakeLogFormatter(form));
  logger->set_level(value);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  return Ok();
}

Status SetLogLevel(std::string_view level) {
  TRY(const spdlog::level::level_enum value, LevelOf(level));
  spdlog::default_logger_raw()->set_level(value);
  return Ok();
}

std::uint64_t LogLimit::Allow(std::chrono::steady_clock::time_point now) {
  calls_.fetch_add(1, std::memory_order_relaxed);
  const std::int64_t now_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  std::int64_t next = next_ns_.load(std::memory_order_relaxed);
  if (now_ns < next) return 0;
  if (!next_ns_.compare_exchange_strong(next, now_ns + interval_.count())) return 0;
  return calls_.exchange(0);
}

}  // namespace culprit
