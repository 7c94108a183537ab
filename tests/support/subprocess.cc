// SPDX-License-Identifier: Apache-2.0
#include "tests/support/subprocess.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "tests/support/temp_dir.h"

namespace culprit::testing_support {
namespace {

std::string ReadText(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

int ExitCodeOf(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

[[noreturn]] void Execute(const std::vector<std::string>& command,
                          const std::vector<std::string>& environment, const std::string& out_path,
                          const std::string& err_path) {
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(out_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int err = open(err_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  for (const std::string& entry : environment) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos) {
      unsetenv(entry.c_str());
    } else {
      setenv(entry.substr(0, equals).c_str(), entry.substr(equals + 1).c_str(), 1);
    }
  }
  std::vector<char*> arguments;
  for (const std::string& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

pid_t Spawn(const std::vector<std::string>& command, const std::vector<std::string>& environment,
            const std::string& out_path, const std::string& err_path) {
  const pid_t pid = fork();
  if (pid < 0) throw std::runtime_error("fork");
  if (pid == 0) Execute(command, environment, out_path, err_path);
  return pid;
}

}  // namespace

Outcome RunProgram(const std::vector<std::string>& command,
                   const std::vector<std::string>& environment) {
  const TempDir dir;
  const std::string out = dir.path() + "/out";
  const std::string err = dir.path() + "/err";
  const pid_t pid = Spawn(command, environment, out, err);
  int status = 0;
  waitpid(pid, &status, 0);
  return {ExitCodeOf(status), ReadText(out), ReadText(err)};
}

Background::Background(const std::vector<std::string>& command, const std::string& log_path,
                       const std::vector<std::string>& environment)
    : log_path_(log_path), pid_(Spawn(command, environment, log_path + ".out", log_path)) {}

Background::~Background() {
  if (Reap(false)) return;
  kill(pid_, SIGKILL);
  Reap(true);
}

bool Background::Reap(bool block) {
  if (reaped_) return true;
  int status = 0;
  if (waitpid(pid_, &status, block ? 0 : WNOHANG) != pid_) return false;
  reaped_ = true;
  exit_code_ = ExitCodeOf(status);
  return true;
}

bool Background::AwaitLog(const std::string& text) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    if (log().find(text) != std::string::npos) return true;
    if (Reap(false)) return log().find(text) != std::string::npos;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

std::string Background::log() const { return ReadText(log_path_); }

void Background::Signal(int signal) const { kill(pid_, signal); }

int Background::Wait() {
  Reap(true);
  return exit_code_;
}

}  // namespace culprit::testing_support
