// SPDX-License-Identifier: Apache-2.0
// libpcap can capture D-Bus messages, which nobody here asks for; as an archive it would bring all
// of libdbus along. These stand in: there are no such devices.
#include <pcap/pcap.h>

extern "C" {
struct pcap_if_list;
int dbus_findalldevs(pcap_if_list* devices, char* error);
pcap_t* dbus_create(const char* device, char* error, int* is_ours);

int dbus_findalldevs(pcap_if_list* /*devices*/, char* /*error*/) { return 0; }

pcap_t* dbus_create(const char* /*device*/, char* /*error*/, int* is_ours) {
  *is_ours = 0;
  return nullptr;
}
}
