// SPDX-License-Identifier: Apache-2.0
// The packet ring on the interface of namespace 'a', and traffic from there to 'b'.
// Thread: one caller, who is moved between namespaces.
#ifndef CULPRIT_TESTS_BPF_RING_LIVE_H_
#define CULPRIT_TESTS_BPF_RING_LIVE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/ring/ring.h"
#include "tests/agent/ring/ring_fixture.h"
#include "tests/bpf/routed_net.h"
#include "tests/support/temp_dir.h"

namespace culprit::testing {

inline constexpr const char* kClient = "192.0.2.2";
inline constexpr const char* kServer = "198.51.100.2";

Endpoint ToEndpoint(const Address& address);  // IPv4

class RingLive {
 public:
  // Captures on va, in a ring of 4 MiB, unless `change` says otherwise.
  explicit RingLive(const std::function<void(RingConfig&)>& change = [](RingConfig&) {});
  bool ok() const { return ring != nullptr; }

  // Both ends of a connection from a to b.
  struct Connection {
    UniqueFd client, server;
    Endpoint local, remote;  // as a sees it
  };
  Connection Connect(std::uint16_t port) const;
  // `bytes` from the client to the server, and the end of both.
  static void Transfer(Connection connection, std::size_t bytes);
  // `n` datagrams of `size` bytes to `port`, each answered.
  void Ask(std::uint16_t port, int n, std::size_t size) const;

  std::vector<Found> Find(const PacketQuery& query, std::string_view frozen = {}) const;
  std::vector<Found> FindPort(std::uint16_t port) const;
  // Until `done`, at most 20 s; false: it never was.
  bool Until(const std::function<bool()>& done) const;

  RoutedNet net;
  TempDir directory;
  std::unique_ptr<PacketRing> ring;
};

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_BPF_RING_LIVE_H_
