// SPDX-License-Identifier: Apache-2.0
// Runs our own programs from a test: output and exit code of a command, or a daemon in the
// background. Stage: tests. Thread: one caller.
#ifndef CULPRIT_TESTS_SUPPORT_SUBPROCESS_H_
#define CULPRIT_TESTS_SUPPORT_SUBPROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace culprit::testing_support {

struct Outcome {
  int exit_code = -1;  // 128 + signal if it died of one
  std::string out, err;
};

// `environment` entries ("NAME=value") come on top of this process's; "NAME" alone removes one.
Outcome RunProgram(const std::vector<std::string>& command,
                   const std::vector<std::string>& environment = {});

// A program that runs until it is stopped; stderr goes to a file.
class Background {
 public:
  Background(const std::vector<std::string>& command, const std::string& log_path,
             const std::vector<std::string>& environment = {});
  ~Background();  // kills it if it still runs
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  pid_t pid() const { return pid_; }
  // Until the log contains `text`; false if the program ends before or after 30 s.
  bool AwaitLog(const std::string& text);
  std::string log() const;
  void Signal(int signal) const;
  // The exit code as in Outcome.
  int Wait();

 private:
  bool Reap(bool block);

  std::string log_path_;
  pid_t pid_ = -1;
  bool reaped_ = false;
  int exit_code_ = -1;
};

}  // namespace culprit::testing_support

#endif  // CULPRIT_TESTS_SUPPORT_SUBPROCESS_H_
