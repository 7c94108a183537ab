// SPDX-License-Identifier: Apache-2.0
#include "agent/status.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "agent/metrics_text.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr std::string_view kSocketName = "status.sock";
constexpr std::size_t kMaxAnswerBytes = 4U << 20;
constexpr suseconds_t kPatienceUs = 200'000;

// Through the directory's descriptor: a path of any length fits.
sockaddr_un AddressIn(int directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = DescriptorPath(directory) + "/" + std::string(kSocketName);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

void SetPatience(int fd, suseconds_t microseconds) {
  timeval patience{microseconds / 1'000'000, microseconds % 1'000'000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
}

bool MayAsk(int fd) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == geteuid();
}

}  // namespace

Result<std::unique_ptr<StatusServer>> StatusServer::Listen(const std::string& state_dir) {
  UniqueFd directory(open(state_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return ErrnoError("open " + state_dir);
  unlinkat(directory.get(), std::string(kSocketName).c_str(), 0);
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return ErrnoError("status socket");
  const sockaddr_un address = AddressIn(directory.get());
  const mode_t before = umask(0177);  // the loop starts no thread that makes files meanwhile
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  umask(before);
  if (bound != 0) return ErrnoError("status socket in " + state_dir, error);
  if (listen(fd.get(), 4) != 0) return ErrnoError("status socket in " + state_dir);
  return std::unique_ptr<StatusServer>(new StatusServer(std::move(directory), std::move(fd)));
}

StatusServer::~StatusServer() { unlinkat(directory_.get(), std::string(kSocketName).c_str(), 0); }

void StatusServer::Serve(const std::function<AgentStatus()>& status) {
  const UniqueFd client(accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!client || !MayAsk(client.get())) return;
  SetPatience(client.get(), kPatienceUs);
  std::array<char, 16> request{};
  const ssize_t n = recv(client.get(), request.data(), request.size(), 0);
  if (n <= 0) return;
  const AgentStatus now = status();
  const std::string answer = request[0] == 'j'   ? StatusJson(now) + "\n"
                             : request[0] == 'm' ? StatusMetrics(now)
                                                 : StatusText(now);
  std::size_t sent = 0;
  while (sent < answer.size()) {
    const ssize_t m = send(client.get(), answer.data() + sent, answer.size() - sent, MSG_NOSIGNAL);
    if (m <= 0) return;  // the client's loss
    sent += static_cast<std::size_t>(m);
  }
}

Result<std::string> AskStatus(const std::string& state_dir, StatusForm form) {
  const UniqueFd directory(open(state_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return ErrnoError("no state directory of an agent at " + state_dir);
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return ErrnoError("status socket");
  const sockaddr_un address = AddressIn(directory.get());
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    if (errno == EACCES || errno == EPERM) {
      return MakeError(Code::kPermissionDenied,
                       "the status of the agent in " + state_dir + " is for root: use sudo");
    }
    return NotFound("no agent runs with the state directory " + state_dir +
                    " (start culprit-agent run, or name its configuration with --config)");
  }
  SetPatience(fd.get(), 10'000'000);
  const std::string_view request = form == StatusForm::kJson      ? "json\n"
                                   : form == StatusForm::kMetrics ? "metrics\n"
                                                                  : "text\n";
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0)
    return ErrnoError("ask the agent");
  std::string answer;
  while (answer.size() < kMaxAnswerBytes) {
    std::array<char, 16'384> buffer{};
    const ssize_t n = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("the agent does not answer");
    if (n == 0) break;
    answer.append(buffer.data(), static_cast<std::size_t>(n));
  }
  if (answer.empty()) return Unavailable("the agent closed the connection without an answer");
  return answer;
}

}  // namespace culprit
