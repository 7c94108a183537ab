// SPDX-License-Identifier: Apache-2.0
#include "agent/parser/parser_sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr int kAlive = 7;

// Both ends of a link, and a third socket that is none.
struct Sockets {
  Sockets() {
    std::array<int, 2> pair{}, other_pair{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair.data()), 0);
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, other_pair.data()), 0);
    link.Reset(pair[0]);
    peer.Reset(pair[1]);
    other.Reset(other_pair[0]);
    other_peer.Reset(other_pair[1]);
  }
  UniqueFd link, peer, other, other_peer;
};

// How a child ends that does `act` behind the filter, and then says that it is alive.
template <class Act>
int EndOf(const Sockets& sockets, Act act) {
  const pid_t pid = fork();
  if (pid == 0) {
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !InstallFilter(sockets.link.get())) {
      _exit(1);
    }
    act(sockets);
    _exit(kAlive);
  }
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return status;
}

TEST(ParserSandboxTest, WhatParsingNeedsIsAllowed) {
  const Sockets sockets;
  ASSERT_EQ(send(sockets.peer.get(), "ask", 3, 0), 3);
  const int status = EndOf(sockets, [](const Sockets& s) {
    std::array<char, 8> buffer{};
    const bool talked = recv(s.link.get(), buffer.data(), buffer.size(), MSG_TRUNC) == 3 &&
                        send(s.link.get(), "tell", 4, MSG_NOSIGNAL) == 4;
    // From the heap, by its own mapping, and given back.
    for (const std::size_t size : {std::size_t{100}, std::size_t{1} << 20, std::size_t{8} << 20}) {
      void* memory = std::malloc(size);
      std::free(memory);
      if (memory == nullptr) _exit(2);
    }
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    if (!talked) _exit(3);
  });
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kAlive) << status;
}

TEST(ParserSandboxTest, AnythingElseIsTheEnd) {
  struct Case {
    const char* what;
    void (*act)(const Sockets&);
  };
  const Case cases[] = {
      {"open", [](const Sockets&) { (void)open("/etc/passwd", O_RDONLY | O_CLOEXEC); }},
      {"write", [](const Sockets&) { (void)!write(STDERR_FILENO, "", 0); }},
      {"socket", [](const Sockets&) { socket(AF_INET, SOCK_STREAM, 0); }},
      {"fork", [](const Sockets&) { fork(); }},
      {"execve", [](const Sockets&) { execl("/bin/true", "true", nullptr); }},
      {"kill", [](const Sockets&) { kill(getppid(), 0); }},
      {"ptrace", [](const Sockets&) { ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
      {"prctl", [](const Sockets&) { prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); }},
      {"setuid", [](const Sockets&) { (void)!setuid(0); }},
      {"memory that can be executed",
       [](const Sockets&) {
         (void)mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
       }},
      {"a file's memory",
       [](const Sockets& s) {
         (void)mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, s.link.get(), 0);
       }},
      {"memory made executable later", [](const Sockets&) { mprotect(nullptr, 4096, PROT_EXEC); }},
      {"another socket", [](const Sockets& s) { send(s.other.get(), "x", 1, MSG_NOSIGNAL); }},
      {"from another socket",
       [](const Sockets& s) {
         char byte = 0;
         recv(s.other.get(), &byte, 1, MSG_DONTWAIT);
       }},
      {"to an address",
       [](const Sockets& s) {
         sockaddr_un to{};
         to.sun_family = AF_UNIX;
         sendto(s.link.get(), "x", 1, MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&to), sizeof to);
       }},
      {"descriptors in a message",
       [](const Sockets& s) {
         msghdr message{};
         (void)recvmsg(s.link.get(), &message, MSG_DONTWAIT);
       }},
  };
  for (const Case& c : cases) {
    const int status = EndOf(Sockets(), c.act);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << c.what << " " << status;
  }
}

TEST(ParserSandboxTest, TheLimitsHold) {
  const pid_t pid = fork();
  if (pid == 0) {
    if (!LimitResources()) _exit(1);
    if (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0 || errno != EMFILE) _exit(2);
    rlimit stack{}, processes{};
    getrlimit(RLIMIT_STACK, &stack);
    getrlimit(RLIMIT_NPROC, &processes);
    if (stack.rlim_max != kParserStackBytes || processes.rlim_max != 0) _exit(3);
#if !defined(CULPRIT_ASAN)
    void* memory = mmap(nullptr, 2 * kParserDataBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED || errno != ENOMEM) _exit(4);
#endif
    _exit(kAlive);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == kAlive) << status;
}

}  // namespace
}  // namespace culprit
