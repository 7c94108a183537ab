// SPDX-License-Identifier: Apache-2.0
#include "agent/source/host_shutdown.h"

#include <systemd/sd-bus.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace culprit {
namespace {

constexpr std::uint64_t kTimeoutUs = 1'000'000;

struct BusClose {
  void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};
struct Free {
  void operator()(char* text) const { std::free(text); }
};

}  // namespace

// Not by the system bus, which may be gone before us.
bool HostGoesDown(const std::string& socket) {
  sd_bus* made = nullptr;
  if (sd_bus_new(&made) < 0) return false;
  const std::unique_ptr<sd_bus, BusClose> bus(made);
  if (sd_bus_set_address(made, ("unix:path=" + socket).c_str()) < 0 ||
      sd_bus_set_method_call_timeout(made, kTimeoutUs) < 0 || sd_bus_start(made) < 0) {
    return false;
  }
  char* state = nullptr;
  const int asked = sd_bus_get_property_string(
      made, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
      "org.freedesktop.systemd1.Manager", "SystemState", nullptr, &state);
  const std::unique_ptr<char, Free> text(state);
  return asked >= 0 && text != nullptr && std::string_view(text.get()) == "stopping";
}

}  // namespace culprit
