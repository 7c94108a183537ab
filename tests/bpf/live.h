// SPDX-License-Identifier: Apache-2.0
// Live: the kernel source under test with everything it delivered; and small socket helpers on
// loopback. Thread: one caller. Others use the machine too: look only for your own pids and
// cookies.
#ifndef CULPRIT_TESTS_BPF_LIVE_H_
#define CULPRIT_TESTS_BPF_LIVE_H_

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/source/bpf_source.h"
#include "bpf/abi.h"
#include "common/unique_fd.h"

namespace culprit::testing {

class Live {
 public:
  explicit Live(
      const BpfSourceOptions& options = {});  // opens and starts; fails the test if it cannot
  bool ok() const { return source_ != nullptr; }
  EventSource& source() { return *source_; }

  // Polls and sweeps until `done`, at most 20 s. False: it never was.
  bool Until(const std::function<bool()>& done);
  // The last record of a socket's flow with that reason.
  std::optional<culprit_flow> Flow(std::uint64_t cookie, int reason,
                                   std::uint32_t generation = 0) const;
  // Waits for it; a failed expectation and an empty record if it does not come.
  culprit_flow Await(std::uint64_t cookie, int reason, std::uint32_t generation = 0);
  std::optional<culprit_counters> Counters(std::uint32_t tgid) const;
  std::string Text(std::uint64_t cookie) const;  // all records of a socket, for messages

  std::vector<culprit_flow> flows;
  std::vector<culprit_exec> execs;
  std::vector<culprit_fork> forks;
  std::vector<culprit_exit> exits;
  std::vector<culprit_counters> counters;
  culprit_lost lost{};
  std::size_t sweeps = 0;  // made by Until()

 private:
  void Take(std::string_view record);
  std::unique_ptr<EventSource> source_;
};

std::uint64_t Cookie(int fd);
// Families: AF_INET, AF_INET6; `mapped` = an IPv6 socket with an IPv4-mapped address.
struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};
Address Loopback(int family, std::uint16_t port, bool mapped = false);
Address Local(int fd);
UniqueFd Bound(int family, int type, bool mapped = false, bool reuse_port = false,
               std::uint16_t port = 0);
std::string Pattern(std::size_t n);
bool SendAll(int fd, std::size_t n);
std::size_t ReceiveAll(int fd, std::size_t n);  // until n bytes or end

// Runs `body` in a forked process; Wait() gives its exit status.
class Child {
 public:
  explicit Child(const std::function<int()>& body);
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ~Child();
  int Wait();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

}  // namespace culprit::testing

#endif  // CULPRIT_TESTS_BPF_LIVE_H_
