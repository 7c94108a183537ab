// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/link_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

namespace culprit {
namespace {

constexpr std::size_t kReceiveBytes = 32U << 10;
constexpr int kMaxNotices = 4096;         // drained at once
constexpr std::size_t kMaxDump = 65'536;  // datagrams of one dump

Result<UniqueFd> OpenNetlink(std::uint32_t groups, int flags) {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE));
  if (!fd) return ErrnoError("open rtnetlink");
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoError("bind rtnetlink");
  }
  return fd;
}

template <class T>
bool Read(std::string_view bytes, T* value) {
  if (bytes.size() < sizeof(T)) return false;
  std::memcpy(value, bytes.data(), sizeof(T));
  return true;
}

std::size_t Aligned(std::size_t n) { return (n + 3) & ~std::size_t{3}; }

// The body of one RTM_NEWLINK.
void ParseLink(std::string_view body, std::vector<Link>* links) {
  ifinfomsg info{};
  if (!Read(body, &info)) return;
  Link link;
  link.index = static_cast<std::uint32_t>(info.ifi_index);
  link.up = (info.ifi_flags & IFF_UP) != 0;
  link.loopback = (info.ifi_flags & IFF_LOOPBACK) != 0;
  body.remove_prefix(std::min(body.size(), Aligned(sizeof(info))));
  rtattr attribute{};
  while (Read(body, &attribute) && attribute.rta_len >= sizeof(attribute) &&
         attribute.rta_len <= body.size()) {
    const std::string_view value =
        body.substr(sizeof(attribute), attribute.rta_len - sizeof(attribute));
    if (attribute.rta_type == IFLA_IFNAME) link.name = value.substr(0, value.find('\0'));
    if (attribute.rta_type == IFLA_MASTER) link.enslaved = true;
    body.remove_prefix(std::min(body.size(), Aligned(attribute.rta_len)));
  }
  if (link.index != 0 && !link.name.empty()) links->push_back(std::move(link));
}

}  // namespace

bool ParseLinks(std::string_view bytes, std::vector<Link>* links) {
  nlmsghdr header{};
  while (Read(bytes, &header) && header.nlmsg_len >= sizeof(header) &&
         header.nlmsg_len <= bytes.size()) {
    if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) return true;
    if (header.nlmsg_type == RTM_NEWLINK) {
      ParseLink(bytes.substr(sizeof(header), header.nlmsg_len - sizeof(header)), links);
    }
    bytes.remove_prefix(std::min(bytes.size(), Aligned(header.nlmsg_len)));
  }
  return false;
}

Result<LinkWatch> LinkWatch::Open() {
  TRY(UniqueFd fd, OpenNetlink(RTMGRP_LINK, SOCK_NONBLOCK));
  return LinkWatch(std::move(fd));
}

bool LinkWatch::TakeNotices() {
  char buffer[4096];
  bool any = false;
  for (int i = 0; i < kMaxNotices; ++i) {
    const ssize_t n = recv(notices_.get(), buffer, sizeof(buffer), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != ENOBUFS) break;
    any = true;
  }
  return any;
}

Result<std::vector<Link>> LinkWatch::List() const {
  TRY(const UniqueFd fd, OpenNetlink(0, 0));
  struct {
    nlmsghdr header;
    ifinfomsg body;
  } request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  if (send(fd.get(), &request, sizeof(request), 0) < 0) return ErrnoError("ask for interfaces");
  std::vector<Link> links;
  std::string buffer(kReceiveBytes, '\0');
  for (std::size_t i = 0; i < kMaxDump; ++i) {
    const ssize_t n = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read interfaces");
    if (ParseLinks({buffer.data(), static_cast<std::size_t>(n)}, &links)) break;
  }
  return links;
}

}  // namespace culprit
