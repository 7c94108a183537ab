// SPDX-License-Identifier: Apache-2.0
// Against a peer that speaks D-Bus as systemd's private socket does.
#include "agent/source/host_shutdown.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "common/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace culprit::testing {
namespace {

int GiveState(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void* state,
              sd_bus_error*) {
  return sd_bus_message_append(reply, "s", static_cast<const char*>(state));
}
const sd_bus_vtable kManager[] = {SD_BUS_VTABLE_START(0),
                                  SD_BUS_PROPERTY("SystemState", "s", GiveState, 0, 0),
                                  SD_BUS_VTABLE_END};

// Answers one client, then ends.
void Serve(int listener, const char* state) {
  const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  sd_bus* bus = nullptr;
  sd_id128_t id{};
  sd_id128_randomize(&id);
  if (sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fd, fd) < 0 || sd_bus_set_server(bus, 1, id) < 0 ||
      sd_bus_start(bus) < 0 ||
      sd_bus_add_object_vtable(bus, nullptr, "/org/freedesktop/systemd1",
                               "org.freedesktop.systemd1.Manager", kManager,
                               const_cast<char*>(state)) < 0) {
    ADD_FAILURE() << "no peer";
    return;
  }
  for (int done = 0; done >= 0;) {
    done = sd_bus_process(bus, nullptr);
    if (done == 0) done = sd_bus_wait(bus, UINT64_MAX);
  }
  sd_bus_unref(bus);
}

class HostShutdownTest : public ::testing::Test {
 protected:
  bool Asked(const char* state) {
    const std::string path = dir_ / state;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    const UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener.get(), 1), 0);
    const std::jthread peer([&] { Serve(listener.get(), state); });
    return HostGoesDown(path);
  }
  TempDir dir_{TempDir::Where::kMemory};
};

TEST_F(HostShutdownTest, AStateOfStoppingIsAHostThatGoesDown) { EXPECT_TRUE(Asked("stopping")); }

TEST_F(HostShutdownTest, AnyOtherStateIsNot) {
  for (const char* state : {"running", "degraded", "starting"}) EXPECT_FALSE(Asked(state)) << state;
}

TEST_F(HostShutdownTest, NobodyToAskIsNot) { EXPECT_FALSE(HostGoesDown(dir_ / "nobody")); }

}  // namespace
}  // namespace culprit::testing
