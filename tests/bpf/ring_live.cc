// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/ring_live.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace culprit::testing {
namespace {

UniqueFd BoundTo(const char* address, int type, std::uint16_t port) {
  UniqueFd fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  const Address to = V4(address, port);
  EXPECT_EQ(bind(fd.get(), to.get(), to.length), 0);
  return fd;
}

}  // namespace

Endpoint ToEndpoint(const Address& address) {
  sockaddr_in in{};
  std::memcpy(&in, &address.storage, sizeof(in));
  return {IpAddress::FromBytes({reinterpret_cast<const char*>(&in.sin_addr), 4}).value(),
          ntohs(in.sin_port)};
}

RingLive::RingLive(const std::function<void(RingConfig&)>& change) {
  net.Run('a', "ethtool -K va tso off gso off gro off >/dev/null");
  RingConfig config;
  config.directory = directory / "ring";
  config.segment_bytes = 1U << 20;
  config.segments = 4;
  config.min_free_bytes = 0;
  config.tap.interfaces = {"va"};
  config.section.application = "culprit test";
  change(config);
  net.In('a', [&] {
    auto started = PacketRing::Start(config, DecodePacket);
    ASSERT_TRUE(started) << started.error().message;
    ring = std::move(*started);
  });
}

RingLive::Connection RingLive::Connect(std::uint16_t port) const {
  Connection connection;
  UniqueFd listener;
  net.In('b', [&] {
    listener = BoundTo(kServer, SOCK_STREAM, port);
    ASSERT_EQ(listen(listener.get(), 8), 0);
  });
  net.In('a', [&] {
    connection.client = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const Address to = V4(kServer, port);
    ASSERT_EQ(connect(connection.client.get(), to.get(), to.length), 0);
  });
  connection.server = UniqueFd(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  connection.local = ToEndpoint(Local(connection.client.get()));
  connection.remote = Endpoint::Parse(kServer).value();
  connection.remote.port = port;
  return connection;
}

void RingLive::Transfer(Connection connection, std::size_t bytes) {
  std::thread receiver([&] { EXPECT_EQ(ReceiveAll(connection.server.get(), bytes), bytes); });
  EXPECT_TRUE(SendAll(connection.client.get(), bytes));
  receiver.join();
  connection.client.Reset();
  char end = 0;
  EXPECT_EQ(recv(connection.server.get(), &end, 1, 0), 0);
}

void RingLive::Ask(std::uint16_t port, int n, std::size_t size) const {
  UniqueFd server, client;
  net.In('b', [&] { server = BoundTo(kServer, SOCK_DGRAM, port); });
  net.In('a', [&] { client = BoundTo(kClient, SOCK_DGRAM, 0); });
  const Address to = V4(kServer, port);
  const std::string question = Pattern(size);
  char answer[2048];
  for (int i = 0; i < n; ++i) {
    ASSERT_GT(sendto(client.get(), question.data(), size, 0, to.get(), to.length), 0);
    Address from;
    from.length = sizeof(from.storage);
    ASSERT_GT(recvfrom(server.get(), answer, sizeof(answer), 0, from.get(), &from.length), 0);
    ASSERT_GT(sendto(server.get(), question.data(), size, 0, from.get(), from.length), 0);
    ASSERT_GT(recv(client.get(), answer, sizeof(answer), 0), 0);
  }
}

std::vector<Found> RingLive::Find(const PacketQuery& query, std::string_view frozen) const {
  std::vector<Found> found;
  const auto stats = ring->Query(
      query,
      [&](const StoredPacket& packet) {
        found.push_back(Own(packet));
        return true;
      },
      frozen);
  EXPECT_TRUE(stats) << stats.error().message;
  // On a busy machine the two directions may reach the ring further apart than it waits.
  std::stable_sort(found.begin(), found.end(),
                   [](const Found& a, const Found& b) { return a.wall_ns < b.wall_ns; });
  return found;
}

std::vector<Found> RingLive::FindPort(std::uint16_t port) const {
  PacketQuery query;
  query.port = port;
  return Find(query);
}

bool RingLive::Until(const std::function<bool()>& done) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ring->Settle();
  }
  return true;
}

}  // namespace culprit::testing
