// SPDX-License-Identifier: Apache-2.0
// Lines of /proc/PID/net: the same rows as of the same sockets by sock_diag.
#include "agent/snapshot/socket_text.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fstream>
#include <optional>
#include <string>

#include "common/unique_fd.h"

namespace culprit {
namespace {

struct Case {
  Row (*parse)(std::string_view, std::uint64_t*);
  const char* line;
  const char* row;  // as JSON; "null": no row
};

Row Tcp(std::string_view line, std::uint64_t* inode) {
  return InetSocketLine(line, IPPROTO_TCP, inode);
}
Row Udp(std::string_view line, std::uint64_t* inode) {
  return InetSocketLine(line, IPPROTO_UDP, inode);
}

const Case kCases[] = {
    {Tcp,
     "   0: 0100007F:1F90 050200C0:01BB 01 00000007:00000009 00:00000000 00000000  1000        0 "
     "12345 1 0000000000000000 100 0 0 10 0",
     R"j({"protocol":"tcp","state":"established","local":"127.0.0.1","local_port":8080,)j"
     R"j("remote":"192.0.2.5","remote_port":443,"uid":1000,"inode":12345,"receive_queue":9,)j"
     R"j("send_queue":7})j"},
    {Udp,
     "  77: B80D0120000000000000000001000000:0035 00000000000000000000000000000000:0000 07 "
     "00000000:00000000 00:00000000 00000000     0        0 99 2 0000000000000000 0",
     R"j({"protocol":"udp","state":"open","local":"2001:db8::1","local_port":53,"remote":"::",)j"
     R"j("remote_port":0,"uid":0,"inode":99,"receive_queue":0,"send_queue":0})j"},
    {UnixSocketLine, "0000000000000000: 00000002 00000000 00010000 0001 01 4711 /run/x y",
     R"j({"protocol":"unix","state":"listen","type":1,"inode":4711,"name":"/run/x y"})j"},
    {UnixSocketLine, "0000000000000000: 00000003 00000000 00000000 0001 03 4712",
     R"j({"protocol":"unix","state":"established","type":1,"inode":4712})j"},
    {PacketSocketLine, "0000000000000000 3      3    0003   2     1 0      1000   9876",
     R"j({"protocol":"packet","type":3,"ethertype":3,"uid":1000,"interface":2,"inode":9876})j"},
    {Tcp, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid",
     "null"},
    {Tcp, "0: 0100007F:1F90 050200C0:01BB 01 0 00:0 0 0 0 1x", "null"},
    {Tcp, "0: 0100007:1F90 050200C0:01BB 01 0:0 00:0 0 0 0 1", "null"},
    {Tcp, "", "null"},
    {UnixSocketLine, "Num       RefCount Protocol Flags    Type St Inode Path", "null"},
    {PacketSocketLine, "sk       RefCnt Type Proto  Iface R Rmem   User   Inode", "null"},
};

TEST(SocketText, EachLineIsOneRow) {
  for (const Case& c : kCases) {
    std::uint64_t inode = 0;
    const Row row = c.parse(c.line, &inode);
    EXPECT_EQ(row.dump(), c.row) << c.line;
    if (!row.empty()) {
      EXPECT_EQ(row["inode"], inode);
    }
  }
}

// Of a socket of this test, by its inode.
std::optional<Row> InTable(const char* path, std::uint8_t protocol, std::uint64_t wanted) {
  std::ifstream table(path);
  for (std::string line; std::getline(table, line);) {
    std::uint64_t inode = 0;
    Row row = InetSocketLine(line, protocol, &inode);
    if (!row.empty() && inode == wanted) return row;
  }
  return std::nullopt;
}

TEST(SocketText, TheKernelsOwnTablesAreRead) {
  const UniqueFd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_TRUE(fd);
  sockaddr_in6 here{};
  here.sin6_family = AF_INET6;
  here.sin6_addr = in6addr_loopback;
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here), 0);
  ASSERT_EQ(listen(fd.get(), 1), 0);
  socklen_t length = sizeof here;
  ASSERT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&here), &length), 0);
  struct stat st {};
  ASSERT_EQ(fstat(fd.get(), &st), 0);
  const auto row = InTable("/proc/self/net/tcp6", IPPROTO_TCP, st.st_ino);
  ASSERT_TRUE(row);
  EXPECT_EQ((*row)["state"], "listen");
  EXPECT_EQ((*row)["local"], "::1");
  EXPECT_EQ((*row)["local_port"], ntohs(here.sin6_port));
}

}  // namespace
}  // namespace culprit
