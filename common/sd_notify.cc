// SPDX-License-Identifier: Apache-2.0
#include "common/sd_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/number.h"
#include "common/unique_fd.h"

namespace culprit {

bool SdNotify(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return false;
  const std::size_t length = std::strlen(path);
  sockaddr_un address{};
  if (length < 2 || length >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
    return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // abstract
  const UniqueFd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return false;
  const auto address_length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  const ssize_t sent = sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                              reinterpret_cast<const sockaddr*>(&address), address_length);
  return sent == static_cast<ssize_t>(state.size());
}

bool SdReloading() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();  // CLOCK_MONOTONIC
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  return SdNotify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(us));
}

std::chrono::microseconds SdWatchdogInterval() {
  const char* text = std::getenv("WATCHDOG_USEC");
  if (text == nullptr) return std::chrono::microseconds(0);
  const char* pid = std::getenv("WATCHDOG_PID");
  if (pid != nullptr && std::to_string(getpid()) != pid) return std::chrono::microseconds(0);
  const std::int64_t us = AsNumber<std::int64_t>(text).value_or(0);
  return std::chrono::microseconds(us > 0 ? us / 2 : 0);
}

}  // namespace culprit
