// SPDX-License-Identifier: Apache-2.0
#include "common/sd_notify.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <string>

#include "common/unique_fd.h"

namespace culprit {
namespace {

// A receiver on an abstract socket of this process.
class Receiver {
 public:
  Receiver()
      : name_("culprit-sd-notify-test-" + std::to_string(getpid())),
        fd_(socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name_.copy(address.sun_path + 1, name_.size());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name_.size());
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
  }
  std::string address() const { return "@" + name_; }
  std::string Read() const {
    std::string text(256, '\0');
    const ssize_t n = recv(fd_.get(), text.data(), text.size(), MSG_DONTWAIT);
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }

 private:
  std::string name_;
  UniqueFd fd_;
};

TEST(SdNotifyTest, ReachesTheSocketThatTheEnvironmentNames) {
  const Receiver receiver;
  setenv("NOTIFY_SOCKET", receiver.address().c_str(), 1);
  EXPECT_TRUE(SdNotify("READY=1\nSTATUS=listening"));
  EXPECT_EQ(receiver.Read(), "READY=1\nSTATUS=listening");
  unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(SdNotify("READY=1"));
}

TEST(SdNotifyTest, BadAddressesAreHarmless) {
  for (const std::string& address :
       {std::string(), std::string("x"), std::string("relative"), "/" + std::string(200, 'a'),
        std::string("/nonexistent/socket")}) {
    setenv("NOTIFY_SOCKET", address.c_str(), 1);
    EXPECT_FALSE(SdNotify("READY=1")) << address;
  }
  unsetenv("NOTIFY_SOCKET");
}

TEST(SdWatchdogIntervalTest, IsHalfOfWhatSystemdAsksOfThisProcess) {
  using std::chrono::microseconds;
  EXPECT_EQ(SdWatchdogInterval(), microseconds(0));
  setenv("WATCHDOG_USEC", "30000000", 1);
  EXPECT_EQ(SdWatchdogInterval(), microseconds(15'000'000));
  setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(SdWatchdogInterval(), microseconds(0)) << "meant for another process";
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  EXPECT_EQ(SdWatchdogInterval(), microseconds(15'000'000));
  setenv("WATCHDOG_USEC", "soon", 1);
  EXPECT_EQ(SdWatchdogInterval(), microseconds(0));
  unsetenv("WATCHDOG_USEC");
  unsetenv("WATCHDOG_PID");
}

}  // namespace
}  // namespace culprit
