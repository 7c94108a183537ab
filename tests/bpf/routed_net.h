// SPDX-License-Identifier: Apache-2.0
// Three network namespaces in a row, made for one test and removed with it:
//   a (192.0.2.2) va -- ra (192.0.2.1) router rb (198.51.100.1) -- vb (198.51.100.2) b
// Thread: one caller, who is moved between them.
#ifndef CULPRIT_TESTS_BPF_ROUTED_NET_H_
#define CULPRIT_TESTS_BPF_ROUTED_NET_H_

#include <cstdint>
#include <functional>
#include <string>

#include "common/unique_fd.h"
#include "tests/bpf/live.h"

namespace culprit::testing {

struct DeviceCounters {
  std::uint64_t rx_bytes = 0, rx_packets = 0, tx_bytes = 0, tx_packets = 0;
};

class RoutedNet {
 public:
  RoutedNet();  // fails the test if it cannot be made
  ~RoutedNet();
  RoutedNet(const RoutedNet&) = delete;
  RoutedNet& operator=(const RoutedNet&) = delete;

  // Runs `body` in namespace 'a', 'r' or 'b'.
  void In(char which, const std::function<void()>& body) const;
  void Run(char which, const std::string& command) const;
  std::uint32_t Netns(char which) const;
  std::uint32_t Index(char which, const char* device) const;
  DeviceCounters Counters(char which, const std::string& device) const;

 private:
  std::string Name(char which) const;
  std::string prefix_;
  UniqueFd home_;
};

Address V4(const char* address, std::uint16_t port);

// The ledger of the source that this process has loaded.
culprit_interface Ledger(std::uint32_t netns, std::uint32_t ifindex);
std::uint64_t Sum(const culprit_u64 (&classes)[CULPRIT_CLASS_COUNT]);

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_BPF_ROUTED_NET_H_
