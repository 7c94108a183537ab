// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <spdlog/fmt/fmt.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "collector/alert/alert_body.h"
#include "collector/alert/alert_sender.h"
#include "collector/format/message_json.h"
#include "common/file.h"
#include "common/text.h"
#include "common/unique_fd.h"
#include "common/units.h"

namespace culprit {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxComplaint = 300;
constexpr std::chrono::milliseconds kSlice{200};

// In memory, so that a program that does not read it blocks nobody.
Result<UniqueFd> BodyFile(const std::string& body) {
  UniqueFd fd(memfd_create("culprit-alert", MFD_CLOEXEC));
  if (!fd) return ErrnoError("memfd_create");
  TRY_VOID(WriteAll(fd.get(), body));
  if (lseek(fd.get(), 0, SEEK_SET) != 0) return ErrnoError("lseek");
  return fd;
}

struct SpawnSettings {
  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
  SpawnSettings() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  // A group of its own, no signal blocked or ignored, no descriptor but the three.
  void Prepare(int body, int complaints) {
    posix_spawn_file_actions_adddup2(&files, body, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, complaints, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
};

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

class CommandSender final : public AlertSender {
 public:
  explicit CommandSender(const AlertTarget& target) : target_(target) {}

  SendOutcome Send(const SendRequest& request) override {
    auto ran = Run(request);
    if (!ran) return {SendResult::kFailed, ran.error().message, {}};
    return {SendResult::kDelivered, "", {}};
  }

 private:
  Status Run(const SendRequest& request) {
    TRY(const UniqueFd body, BodyFile(AlertBody(target_.format, request.alert)));
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return ErrnoError("pipe");
    const UniqueFd read_end(ends[0]);
    UniqueFd write_end(ends[1]);
    TRY(const pid_t pid, Spawn(request, body.get(), write_end.get()));
    write_end.Reset();
    std::string complaint;
    const bool ended = AwaitEnd(pid, read_end.get(), request.stop, &complaint);
    kill(-pid, SIGKILL);  // and what it left behind
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!ended) {
      return MakeError(Code::kDeadlineExceeded,
                       fmt::format("ended after {}", FormatDuration(target_.timeout)));
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return Ok();
    std::string error = WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status))
                                          : fmt::format("ended by signal {}", WTERMSIG(status));
    if (!complaint.empty()) error += ": " + EscapeText(complaint);
    return Internal(std::move(error));
  }

  Result<pid_t> Spawn(const SendRequest& request, int body, int complaints) const {
    SpawnSettings settings;
    settings.Prepare(body, complaints);
    std::vector<std::string> arguments = target_.command;
    std::vector<std::string> environment = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
        "CULPRIT_ALERT_EVENT=" + WordOf(request.alert.event()),
        "CULPRIT_ALERT_KEY=" + request.alert.key(),
        fmt::format("CULPRIT_ALERT_ATTEMPT={}", request.attempt)};
    pid_t pid = 0;
    const int error =
        posix_spawn(&pid, arguments.front().c_str(), &settings.files, &settings.attributes,
                    Pointers(arguments).data(), Pointers(environment).data());
    if (error != 0) return ErrnoError(arguments.front(), error);
    return pid;
  }

  // False: it runs on.
  bool AwaitEnd(pid_t pid, int complaints, const std::stop_token& stop, std::string* text) const {
    const auto deadline = Clock::now() + target_.timeout;
    const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    std::array<pollfd, 2> fds = {{{process.get(), POLLIN, 0}, {complaints, POLLIN, 0}}};
    while (!stop.stop_requested() && Clock::now() < deadline) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
      if (poll(fds.data(), fds.size(), static_cast<int>(std::min(left, kSlice).count())) < 0)
        continue;
      if (fds[1].revents != 0 && !TakeComplaint(complaints, text)) fds[1].fd = -1;
      if ((fds[0].revents & POLLIN) != 0) {
        TakeComplaint(complaints, text);
        return true;
      }
    }
    return false;
  }

  // False at its end.
  static bool TakeComplaint(int fd, std::string* text) {
    std::array<char, 4096> chunk{};
    const ssize_t n = read(fd, chunk.data(), chunk.size());
    if (n > 0 && text->size() < kMaxComplaint) {
      text->append(chunk.data(),
                   std::min(static_cast<std::size_t>(n), kMaxComplaint - text->size()));
    }
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
  }

  const AlertTarget target_;
};

}  // namespace

std::unique_ptr<AlertSender> MakeCommandSender(const AlertTarget& target) {
  return std::make_unique<CommandSender>(target);
}

}  // namespace culprit
