// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/live.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "tests/bpf/record_text.h"

namespace culprit::testing {
namespace {

template <class Record>
void Append(std::vector<Record>& out, std::string_view bytes) {
  Record record{};
  std::memcpy(&record, bytes.data(), std::min(bytes.size(), sizeof(record)));
  out.push_back(record);
}

}  // namespace

Live::Live(const BpfSourceOptions& options) {
  auto opened = OpenBpfSource(options);
  if (!opened) {
    ADD_FAILURE() << opened.error().message;
    return;
  }
  source_ = std::move(*opened);
  const auto started = source_->Start([this](std::string_view record) { Take(record); });
  EXPECT_TRUE(started) << started.error().message;
}

void Live::Take(std::string_view record) {
  culprit_header header{};
  ASSERT_GE(record.size(), sizeof(header));
  std::memcpy(&header, record.data(), sizeof(header));
  ASSERT_EQ(header.size, record.size());
  ASSERT_EQ(header.reserved, 0);
  switch (header.kind) {
    case CULPRIT_RECORD_EXEC:
      return Append(execs, record);
    case CULPRIT_RECORD_FORK:
      return Append(forks, record);
    case CULPRIT_RECORD_EXIT:
      return Append(exits, record);
    case CULPRIT_RECORD_FLOW:
      return Append(flows, record);
    case CULPRIT_RECORD_COUNTERS:
      return Append(counters, record);
    case CULPRIT_RECORD_LOST:
      std::memcpy(&lost, record.data(), sizeof(lost));
      return;
    default:
      ADD_FAILURE() << "unknown kind " << header.kind;
  }
}

bool Live::Until(const std::function<bool()>& done) {
  const auto sink = [this](std::string_view record) { Take(record); };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    if (!source_->Poll(std::chrono::milliseconds(20), sink) || !source_->Sweep(sink)) return false;
    ++sweeps;
  }
  return true;
}

std::optional<culprit_flow> Live::Flow(std::uint64_t cookie, int reason,
                                       std::uint32_t generation) const {
  for (auto flow = flows.rbegin(); flow != flows.rend(); ++flow) {
    if (flow->cookie == cookie && flow->reason == reason && flow->generation == generation)
      return *flow;
  }
  return std::nullopt;
}

culprit_flow Live::Await(std::uint64_t cookie, int reason, std::uint32_t generation) {
  EXPECT_TRUE(Until([&] { return Flow(cookie, reason, generation).has_value(); }))
      << "no record with reason " << reason << " of socket " << cookie << "\n"
      << Text(cookie);
  return Flow(cookie, reason, generation).value_or(culprit_flow{});
}

std::optional<culprit_counters> Live::Counters(std::uint32_t tgid) const {
  for (auto c = counters.rbegin(); c != counters.rend(); ++c) {
    if (c->key.tgid == tgid) return *c;
  }
  return std::nullopt;
}

std::string Live::Text(std::uint64_t cookie) const {
  std::string text;
  for (const culprit_flow& flow : flows) {
    if (flow.cookie == cookie) {
      text += RecordText({reinterpret_cast<const char*>(&flow), sizeof(flow)}) + "\n";
    }
  }
  return text;
}

std::uint64_t Cookie(int fd) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof(cookie);
  EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size), 0);
  return cookie;
}

Address Loopback(int family, std::uint16_t port, bool mapped) {
  Address address;
  if (family == AF_INET) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::memcpy(&address.storage, &in, sizeof(in));
    address.length = sizeof(in);
  } else {
    sockaddr_in6 in{};
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(port);
    inet_pton(AF_INET6, mapped ? "::ffff:127.0.0.1" : "::1", &in.sin6_addr);
    std::memcpy(&address.storage, &in, sizeof(in));
    address.length = sizeof(in);
  }
  return address;
}

Address Local(int fd) {
  Address address;
  address.length = sizeof(address.storage);
  EXPECT_EQ(getsockname(fd, address.get(), &address.length), 0);
  return address;
}

UniqueFd Bound(int family, int type, bool mapped, bool reuse_port, std::uint16_t port) {
  UniqueFd fd(socket(family, type | SOCK_CLOEXEC, 0));
  const int one = 1;
  if (reuse_port) setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
  const Address address = Loopback(family, port, mapped);
  EXPECT_EQ(bind(fd.get(), address.get(), address.length), 0) << std::strerror(errno);
  return fd;
}

std::string Pattern(std::size_t n) { return std::string(n, 'x'); }

bool SendAll(int fd, std::size_t n) {
  const std::string data = Pattern(n);
  std::size_t sent = 0;
  while (sent < n) {
    const ssize_t got = send(fd, data.data() + sent, n - sent, MSG_NOSIGNAL);
    if (got <= 0) return false;
    sent += static_cast<std::size_t>(got);
  }
  return true;
}

std::size_t ReceiveAll(int fd, std::size_t n) {
  std::string data(65536, 0);
  std::size_t total = 0;
  while (total < n) {
    const ssize_t got = recv(fd, data.data(), std::min(data.size(), n - total), 0);
    if (got <= 0) break;
    total += static_cast<std::size_t>(got);
  }
  return total;
}

Child::Child(const std::function<int()>& body) {
  pid_ = fork();
  if (pid_ == 0) _exit(body());
}

Child::~Child() {
  if (pid_ > 0) Wait();
}

int Child::Wait() {
  int status = -1;
  if (pid_ > 0) waitpid(pid_, &status, 0);
  pid_ = -1;
  return status;
}

}  // namespace culprit::testing
