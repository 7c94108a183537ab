// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/commands/session.h"

#include <spdlog/fmt/fmt.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "common/units.h"

namespace culprit::cli {
namespace {

constexpr std::string_view kDefaultPort = "7443";

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<std::string> CredentialDirectories() {
  std::vector<std::string> directories;
  std::string config = Environment("XDG_CONFIG_HOME");
  if (config.empty() && !Environment("HOME").empty()) config = Environment("HOME") + "/.config";
  if (!config.empty()) directories.push_back(config + "/culprit/operator");
  directories.emplace_back("/etc/culprit/operator");
  directories.emplace_back(
      "/var/lib/culprit/collector/pki");  // root on the collector's own machine
  return directories;
}

Result<std::string> FindCredentials(const std::string& given) {
  if (!given.empty()) return given;
  if (const std::string named = Environment("CULPRIT_CREDENTIALS"); !named.empty()) return named;
  const std::vector<std::string> directories = CredentialDirectories();
  for (const std::string& directory : directories) {
    if (access((directory + "/operator.pem").c_str(), F_OK) == 0) return directory;
  }
  return InvalidArgument(
      fmt::format("no operator credentials in {}: make some with `culprit-collector issue operator "
                  "NAME` on the "
                  "collector, and name their directory with --credentials or CULPRIT_CREDENTIALS",
                  fmt::join(directories, ", ")));
}

// "host" -> "host:7443"; "2001:db8::1" -> "[2001:db8::1]:7443".
std::string WithPort(const std::string& address) {
  const auto first = address.find(':');
  if (first == std::string::npos) return fmt::format("{}:{}", address, kDefaultPort);
  if (address.front() == '[') {
    return address.back() == ']' ? fmt::format("{}:{}", address, kDefaultPort) : address;
  }
  if (address.find(':', first + 1) != std::string::npos)
    return fmt::format("[{}]:{}", address, kDefaultPort);
  return address;
}

int ExitCodeOf(Code code) {
  switch (code) {
    case Code::kCancelled:
      return kExitInterrupted;
    case Code::kInvalidArgument:
    case Code::kOutOfRange:
      return kExitUsage;
    case Code::kNotFound:
      return kExitNoMatch;
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
      return kExitNoConnection;
    case Code::kPermissionDenied:
    case Code::kUnauthenticated:
      return kExitNotAuthorised;
    default:
      return kExitFailed;
  }
}

}  // namespace

View Session::view() const {
  View view;
  view.zone = options_.local ? Zone::kLocal : Zone::kUtc;
  view.now_ns = ToNs(ReadWallClock());
  if (isatty(STDOUT_FILENO) != 1) return view;
  const std::string terminal = Environment("TERM");
  view.colour = Environment("NO_COLOR").empty() && !terminal.empty() && terminal != "dumb";
  winsize size{};
  if (!options_.wide && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) view.width = size.ws_col;
  return view;
}

Client* Session::Connect(int* exit_code) {
  if (client_ != nullptr) return client_.get();
  ClientOptions options;
  std::string collector = options_.collector;
  if (collector.empty()) collector = Environment("CULPRIT_COLLECTOR");
  if (collector.empty()) collector = "127.0.0.1";
  options.collector = WithPort(collector);
  const auto timeout = ParseDuration(options_.timeout);
  if (!timeout || *timeout < std::chrono::milliseconds(1)) {
    *exit_code = Fail(InvalidArgument("--timeout: write for instance \"10s\""));
    return nullptr;
  }
  options.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(*timeout);
  const auto directory = FindCredentials(options_.credentials);
  if (!directory) {
    *exit_code = Fail(directory.error());
    return nullptr;
  }
  options.credentials = {*directory + "/ca.pem", *directory + "/operator.pem",
                         *directory + "/operator.key"};
  auto client = Client::Create(options);
  if (!client) {
    Error error = std::move(client).error();
    // Files that are missing are a matter of the command line; files that are wrong are one of
    // authorisation.
    error.code = error.code == Code::kNotFound ? Code::kInvalidArgument : Code::kUnauthenticated;
    *exit_code = Fail(std::move(error).Context("credentials"));
    return nullptr;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  client_ = std::move(*client);
  if (interrupted_) client_->Cancel();
  return client_.get();
}

Result<std::int64_t> Session::TimeNs(const std::string& option, const std::string& text) {
  const Zone zone = options_.local ? Zone::kLocal : Zone::kUtc;
  auto parsed = ParseTime(text, ReadWallClock(), zone);
  if (!parsed) return std::move(parsed).error().Context(option);
  if (parsed->zone_assumed) {
    Note(fmt::format("{} has no zone: taken as {}", option, FormatTime(ToNs(parsed->time), zone)));
  }
  return ToNs(parsed->time);
}

void Session::Print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void Session::Note(std::string_view text) { fmt::print(stderr, "culprit: note: {}\n", text); }

int Session::Fail(const Error& error) {
  if (error.code != Code::kCancelled) fmt::print(stderr, "culprit: error: {}\n", error.message);
  return ExitCodeOf(error.code);
}

void Session::Interrupt() {
  const std::lock_guard<std::mutex> lock(mutex_);
  interrupted_ = true;
  if (client_ != nullptr) client_->Cancel();
  wake_.notify_all();
}

bool Session::interrupted() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return interrupted_;
}

bool Session::Wait(std::chrono::milliseconds span) {
  std::unique_lock<std::mutex> lock(mutex_);
  return !wake_.wait_for(lock, span, [this] { return interrupted_; });
}

}  // namespace culprit::cli
