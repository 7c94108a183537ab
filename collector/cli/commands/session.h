// SPDX-License-Identifier: Apache-2.0
// What every command of `culprit` has at hand: the options common to all, the connection, the two
// outputs, exit codes.
//
// Stage: cli. Thread: the command's; Interrupt() from the signal thread.
#ifndef CULPRIT_COLLECTOR_CLI_COMMANDS_SESSION_H_
#define CULPRIT_COLLECTOR_CLI_COMMANDS_SESSION_H_

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "collector/cli/client.h"
#include "collector/cli/render.h"

namespace culprit::cli {

// Documented in `culprit --help` and the manual.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,         // at run time
  kExitUsage = 2,          // command line, or no credentials
  kExitNoMatch = 3,        // nothing found
  kExitNoConnection = 4,   // the collector cannot be reached
  kExitNotAuthorised = 5,  // certificates
  kExitInterrupted = 130,
};

struct GlobalOptions {
  std::string collector;    // default: CULPRIT_COLLECTOR, else 127.0.0.1:7443
  std::string credentials;  // directory; default: CULPRIT_CREDENTIALS, else the first that exists
  std::string timeout = "10s";
  bool json = false;
  bool wide = false;
  bool utc = false;
  bool local = false;
};

class Session {
 public:
  explicit Session(GlobalOptions options) : options_(std::move(options)) {}

  bool json() const { return options_.json; }
  // Width, colours, zone and the present time.
  View view() const;
  // Connected on first use. Prints the error and sets `exit_code` where there is none.
  Client* Connect(int* exit_code);

  // Points in time of the command line. A missing zone is noted on stderr.
  Result<std::int64_t> TimeNs(const std::string& option, const std::string& text);

  void Print(std::string_view text);  // stdout, at once
  void Note(std::string_view text);   // stderr, "culprit: note: …"
  int Fail(const Error& error);       // stderr, and the exit code that fits

  // From the signal thread: ends the call under way and every Wait.
  void Interrupt();
  bool interrupted() const;
  // False if interrupted.
  bool Wait(std::chrono::milliseconds span);

 private:
  const GlobalOptions options_;
  std::unique_ptr<Client> client_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool interrupted_ = false;
};

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_COMMANDS_SESSION_H_
