// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "agent/names/http.h"
#include "agent/names/socks.h"
#include "tests/support/packet_builder.h"

namespace culprit {
namespace {

using namespace testing;

TEST(HttpTest, TheHostOfARequestIsFound) {
  const std::pair<const char*, const char*> cases[] = {
      {"GET / HTTP/1.1\r\nHost: A.Example\r\n\r\n", "a.example"},
      {"POST /x HTTP/1.0\nhost:a.example:8080 \n\n", "a.example"},
      {"GET / HTTP/1.1\r\nAccept: */*\r\nHOST:\t[2001:db8::1]:80\r\n\r\n", "2001:db8::1"},
      {"GET http://b.example/path HTTP/1.1\r\nHost: a.example\r\n\r\n", "b.example"},
      {"GET http://user:pw@b.example:81?q HTTP/1.1\r\n\r\n", "b.example"},
      {"GET /?u=http://b.example HTTP/1.1\r\nHost: a.example.\r\n\r\n", "a.example"},
      {"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n", "239.255.255.250"},
      {"GET / HTTP/1.1\r\nHost: a\x1b[2J\r\n\r\n", "a\\x1b[2j"},
  };
  for (const auto& [bytes, host] : cases) {
    Observation out;
    ASSERT_EQ(ParseHttpRequest(bytes, out), Verdict::kFound) << bytes;
    const auto& name = std::get<ServerName>(out);
    EXPECT_EQ(name.name, host);
    EXPECT_EQ(name.source, NameSource::kHttpHost);
  }
}

TEST(HttpTest, ConnectAsksForHostAndPort) {
  struct Case {
    const char* bytes;
    const char* host;
    std::uint16_t port;
  };
  const Case cases[] = {
      {"CONNECT a.example:443 HTTP/1.1\r\nHost: other.example\r\n\r\n", "a.example", 443},
      {"CONNECT [2001:db8::1]:22 HTTP/1.0\r\n\r\n", "2001:db8::1", 22},
      {"CONNECT a.example:25 / HTTP/1.0\r\n\r\n", "a.example", 25},
  };
  for (const Case& c : cases) {
    Observation out;
    ASSERT_EQ(ParseHttpRequest(c.bytes, out), Verdict::kFound) << c.bytes;
    const auto& request = std::get<ProxyRequest>(out);
    EXPECT_EQ(request.host, c.host);
    EXPECT_EQ(request.port, c.port);
    EXPECT_EQ(request.source, NameSource::kHttpConnect);
  }
}

TEST(HttpTest, ARequestThatIsNotWholeAsksForMore) {
  const std::string request = "GET /index HTTP/1.1\r\nAccept: */*\r\nHost: a.example\r\n";
  for (std::size_t n = 0; n < request.size(); ++n) {
    Observation out;
    EXPECT_EQ(ParseHttpRequest(request.substr(0, n), out), Verdict::kMore) << n;
  }
}

TEST(HttpTest, WhatIsNoRequestIsTold) {
  for (const char* bytes :
       {"HTTP/1.1 200 OK\r\n", "SSH-2.0-x\r\n", "EHLO a.example\r\n", "PRI * HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: \r\n\r\n",
        "CONNECT a.example HTTP/1.1\r\n", "CONNECT a.example:99999 HTTP/1.1\r\n",
        "CONNECT :443 HTTP/1.1\r\n", "AAAAAAAAAAAAAAAAAAAA", "CONNECT [::1:443 HTTP/1.1\r\n",
        "OK  \r\n", "GET  HTTP/1.1\r\n\r\n"}) {
    Observation out;
    EXPECT_EQ(ParseHttpRequest(bytes, out), Verdict::kOther) << bytes;
  }
}

struct SocksCase {
  const char* name;
  std::string bytes;
  const char* host;
  std::uint16_t port;
  int command;
};

std::vector<SocksCase> SocksCases() {
  const std::string v4 = Be16(443) + AddressBytes("192.0.2.7");
  const std::string name = U8(3) + Counted8("A.example") + Be16(443);
  const std::string request = std::string("\x05\x01\0", 3) + name;
  return {
      {"4", "\x04\x01" + v4 + U8(0), "192.0.2.7", 443, 1},
      {"4 with user, bind", "\x04\x02" + v4 + "user" + U8(0), "192.0.2.7", 443, 2},
      {"4a", "\x04\x01" + Be16(80) + Be32(1) + "user" + U8(0) + "A.example" + U8(0), "a.example",
       80, 1},
      {"5", std::string("\x05\x01\0", 3) + request, "a.example", 443, 1},
      {"5 with password",
       std::string("\x05\x02\0\x02", 4) + "\x01" + Counted8("user") + Counted8("pw") + request,
       "a.example", 443, 1},
      {"5 to an address",
       "\x05\x01\x02"
       "\x01" +
           Counted8("u") + Counted8("") + std::string("\x05\x01\0\x01", 4) +
           AddressBytes("192.0.2.7") + Be16(22),
       "192.0.2.7", 22, 1},
      {"5 to IPv6, UDP",
       std::string("\x05\x01\0\x05\x03\0\x04", 7) + AddressBytes("2001:db8::7") + Be16(0),
       "2001:db8::7", 0, 3},
  };
}

TEST(SocksTest, TheDestinationAskedForIsFound) {
  for (const SocksCase& c : SocksCases()) {
    SCOPED_TRACE(c.name);
    ProxyRequest request;
    ASSERT_EQ(ParseSocks(c.bytes, request), Verdict::kFound);
    EXPECT_EQ(request.host, c.host);
    EXPECT_EQ(request.port, c.port);
    EXPECT_EQ(request.command, c.command);
    EXPECT_EQ(request.source, NameSource::kSocks);
  }
}

TEST(SocksTest, EveryBeginningAsksForMore) {
  for (const SocksCase& c : SocksCases()) {
    for (std::size_t n = 0; n < c.bytes.size(); ++n) {
      ProxyRequest request;
      EXPECT_EQ(ParseSocks(c.bytes.substr(0, n), request), Verdict::kMore) << c.name << " " << n;
    }
  }
}

TEST(SocksTest, OtherProtocolsThatBeginAlikeAreTold) {
  const std::string v4 = Be16(443) + AddressBytes("192.0.2.7");
  const std::pair<const char*, std::string> cases[] = {
      {"no version", "\x06\x01"},
      {"4: command", "\x04\x03" + v4 + U8(0)},
      {"4: port 0", "\x04\x01" + Be16(0) + AddressBytes("192.0.2.7") + U8(0)},
      {"4: user is no text", "\x04\x01" + v4 + "\x01\x02"},
      {"4: endless user", "\x04\x01" + v4 + std::string(300, 'a')},
      {"4: something behind it", "\x04\x01" + v4 + U8(0) + "more"},
      {"4a: no name", "\x04\x01" + Be16(80) + Be32(1) + U8(0) + U8(0)},
      {"5: no methods", std::string("\x05\0", 2)},
      {"5: many methods", "\x05\xff"},
      {"5: no request behind it", std::string("\x05\x01\0\x07", 4)},
      {"5: reserved", std::string("\x05\x01\0\x05\x01\x01", 6)},
      {"5: kind", std::string("\x05\x01\0\x05\x01\0\x02", 7)},
      {"5: name is no text", std::string("\x05\x01\0\x05\x01\0\x03\x02\x01\x02\0\x50", 12)},
      {"5: empty name", std::string("\x05\x01\0\x05\x01\0\x03\0\0\x50", 10)},
  };
  for (const auto& [what, bytes] : cases) {
    ProxyRequest request;
    EXPECT_EQ(ParseSocks(bytes, request), Verdict::kOther) << what;
  }
}

}  // namespace
}  // namespace culprit
