// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/sock_diag.h"

#include <arpa/inet.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/inet_diag.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/packet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "common/hex.h"

namespace culprit {
namespace {

template <class T>
std::optional<T> Head(std::string_view bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

// As much of a structure as the kernel gives; the rest is zero.
template <class T>
T Some(std::string_view bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof(T)));
  return value;
}

std::string_view Behind(std::string_view bytes, std::size_t size) {
  return bytes.substr(std::min((size + 3) / 4 * 4, bytes.size()));
}

std::string Address(int family, std::string_view bytes) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const std::size_t need = family == AF_INET ? 4 : 16;
  if ((family != AF_INET && family != AF_INET6) || bytes.size() < need)
    return HexEncode(bytes.substr(0, 32));
  inet_ntop(family, bytes.data(), text.data(), text.size());
  return text.data();
}

void AddTcp(std::string_view bytes, Row* row) {
  const auto info = Some<tcp_info>(bytes);
  (*row)["bytes_sent"] = info.tcpi_bytes_sent;
  (*row)["bytes_acked"] = info.tcpi_bytes_acked;
  (*row)["bytes_received"] = info.tcpi_bytes_received;
  (*row)["bytes_retransmitted"] = info.tcpi_bytes_retrans;
  (*row)["segments_out"] = info.tcpi_segs_out;
  (*row)["segments_in"] = info.tcpi_segs_in;
  (*row)["rtt_us"] = info.tcpi_rtt;
  (*row)["last_sent_ms_ago"] = info.tcpi_last_data_sent;
  (*row)["last_received_ms_ago"] = info.tcpi_last_data_recv;
}

template <class T>
std::string_view Fixed(const T& array) {
  return {reinterpret_cast<const char*>(&array), sizeof(array)};
}

std::uint64_t Number(std::string_view bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  return value;
}

std::string Name(std::string_view bytes) { return RowText(bytes.substr(0, bytes.find('\0'))); }

Row LinkRow(std::string_view body) {
  const auto head = Head<ifinfomsg>(body);
  if (!head) return {};
  Row row;
  row["kind"] = "link";
  row["index"] = head->ifi_index;
  row["flags"] = head->ifi_flags;
  ForEachAttribute(Behind(body, sizeof(ifinfomsg)),
                   [&](std::uint16_t type, std::string_view value) {
                     if (type == IFLA_IFNAME) row["name"] = Name(value);
                     if (type == IFLA_ADDRESS) row["address"] = HexEncode(value.substr(0, 32));
                     if (type == IFLA_MTU) row["mtu"] = Number(value);
                     if (type == IFLA_MASTER) row["master"] = Number(value);
                     // More than zero: somebody listens to what is for others.
                     if (type == IFLA_PROMISCUITY) row["promiscuity"] = Number(value);
                     if (type == IFLA_STATS64 && value.size() >= 64) {
                       const auto stats = Some<rtnl_link_stats64>(value);
                       row["rx_bytes"] = stats.rx_bytes;
                       row["tx_bytes"] = stats.tx_bytes;
                     }
                   });
  return row;
}

Row AddressRow(std::string_view body) {
  const auto head = Head<ifaddrmsg>(body);
  if (!head) return {};
  Row row;
  row["kind"] = "address";
  row["index"] = head->ifa_index;
  row["prefix"] = head->ifa_prefixlen;
  ForEachAttribute(Behind(body, sizeof(ifaddrmsg)),
                   [&](std::uint16_t type, std::string_view value) {
                     if (type == IFA_ADDRESS) row["address"] = Address(head->ifa_family, value);
                     if (type == IFA_LOCAL) row["local"] = Address(head->ifa_family, value);
                     if (type == IFA_LABEL) row["label"] = Name(value);
                   });
  return row;
}

// Routes and rules begin alike.
Row RtRow(std::string_view body, bool rule) {
  const auto head = Head<rtmsg>(body);
  if (!head) return {};
  Row row;
  row["kind"] = rule ? "rule" : "route";
  row["family"] = head->rtm_family == AF_INET    ? "ipv4"
                  : head->rtm_family == AF_INET6 ? "ipv6"
                                                 : "other";
  row["table"] = head->rtm_table;
  row["type"] = head->rtm_type;
  row["protocol"] = head->rtm_protocol;
  row["destination_prefix"] = head->rtm_dst_len;
  ForEachAttribute(Behind(body, sizeof(rtmsg)), [&](std::uint16_t type, std::string_view value) {
    if (type == RTA_DST) row["destination"] = Address(head->rtm_family, value);
    if (type == RTA_SRC) row["source"] = Address(head->rtm_family, value);
    if (type == RTA_TABLE) row["table"] = Number(value);
    if (rule && type == FRA_PRIORITY) row["priority"] = Number(value);
    if (rule && type == FRA_FWMARK) row["mark"] = Number(value);
    if (rule) return;
    if (type == RTA_GATEWAY) row["gateway"] = Address(head->rtm_family, value);
    if (type == RTA_PREFSRC) row["preferred_source"] = Address(head->rtm_family, value);
    if (type == RTA_OIF) row["interface"] = Number(value);
    if (type == RTA_PRIORITY) row["metric"] = Number(value);
  });
  return row;
}

Row NeighbourRow(std::string_view body) {
  const auto head = Head<ndmsg>(body);
  if (!head) return {};
  Row row;
  row["kind"] = "neighbour";
  row["index"] = head->ndm_ifindex;
  row["state"] = head->ndm_state;
  ForEachAttribute(Behind(body, sizeof(ndmsg)), [&](std::uint16_t type, std::string_view value) {
    if (type == NDA_DST) row["address"] = Address(head->ndm_family, value);
    if (type == NDA_LLADDR) row["link_address"] = HexEncode(value.substr(0, 32));
  });
  return row;
}

}  // namespace

const char* TcpStateName(unsigned state) {
  constexpr std::array<const char*, 13> kNames = {
      "unknown", "established", "syn-sent", "syn-recv", "fin-wait-1", "fin-wait-2",  "time-wait",
      "close",   "close-wait",  "last-ack", "listen",   "closing",    "new-syn-recv"};
  return state < kNames.size() ? kNames.at(state) : "unknown";
}

const char* SocketProtocolName(std::uint8_t protocol) {
  return protocol == IPPROTO_TCP   ? "tcp"
         : protocol == IPPROTO_UDP ? "udp"
         : protocol == IPPROTO_RAW ? "raw"
                                   : "other";
}

void ForEachInetRequest(const std::function<void(inet_diag_req_v2)>& ask) {
  for (const std::uint8_t protocol :
       {std::uint8_t{IPPROTO_TCP}, std::uint8_t{IPPROTO_UDP}, std::uint8_t{IPPROTO_RAW}}) {
    for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
      inet_diag_req_v2 request{};
      request.sdiag_family = family;
      request.sdiag_protocol = protocol;
      ask(request);
    }
  }
}

void ForEachMessage(std::string_view bytes,
                    const std::function<void(std::uint16_t, std::string_view)>& each) {
  while (const auto head = Head<nlmsghdr>(bytes)) {
    if (head->nlmsg_len < sizeof(nlmsghdr) || head->nlmsg_len > bytes.size()) return;
    each(head->nlmsg_type, bytes.substr(sizeof(nlmsghdr), head->nlmsg_len - sizeof(nlmsghdr)));
    bytes = Behind(bytes, head->nlmsg_len);
  }
}

void ForEachAttribute(std::string_view bytes,
                      const std::function<void(std::uint16_t, std::string_view)>& each) {
  while (const auto head = Head<nlattr>(bytes)) {
    if (head->nla_len < sizeof(nlattr) || head->nla_len > bytes.size()) return;
    each(head->nla_type & NLA_TYPE_MASK,
         bytes.substr(sizeof(nlattr), head->nla_len - sizeof(nlattr)));
    bytes = Behind(bytes, head->nla_len);
  }
}

Row InetSocketRow(std::string_view body, std::uint8_t protocol, std::uint64_t* inode) {
  const auto head = Head<inet_diag_msg>(body);
  if (!head) return {};
  *inode = head->idiag_inode;
  Row row;
  row["protocol"] = SocketProtocolName(protocol);
  row["state"] = protocol == IPPROTO_TCP  ? TcpStateName(head->idiag_state)
                 : head->idiag_state == 1 ? "connected"
                                          : "open";
  row["local"] = Address(head->idiag_family, Fixed(head->id.idiag_src));
  row["local_port"] = ntohs(head->id.idiag_sport);
  row["remote"] = Address(head->idiag_family, Fixed(head->id.idiag_dst));
  row["remote_port"] = ntohs(head->id.idiag_dport);
  row["uid"] = head->idiag_uid;
  row["inode"] = head->idiag_inode;
  row["cookie"] =
      (static_cast<std::uint64_t>(head->id.idiag_cookie[1]) << 32U) | head->id.idiag_cookie[0];
  row["receive_queue"] = head->idiag_rqueue;
  row["send_queue"] = head->idiag_wqueue;
  if (protocol != IPPROTO_TCP) return row;
  ForEachAttribute(Behind(body, sizeof(inet_diag_msg)),
                   [&](std::uint16_t type, std::string_view value) {
                     if (type == INET_DIAG_INFO) AddTcp(value, &row);
                   });
  return row;
}

Row UnixSocketRow(std::string_view body, std::uint64_t* inode) {
  const auto head = Head<unix_diag_msg>(body);
  if (!head) return {};
  *inode = head->udiag_ino;
  Row row;
  row["protocol"] = "unix";
  row["state"] = TcpStateName(head->udiag_state);
  row["type"] = head->udiag_type;
  row["inode"] = head->udiag_ino;
  ForEachAttribute(Behind(body, sizeof(unix_diag_msg)),
                   [&](std::uint16_t type, std::string_view value) {
                     if (type == UNIX_DIAG_NAME) row["name"] = RowText(value.substr(0, 108));
                     if (type == UNIX_DIAG_PEER) row["peer_inode"] = Number(value);
                   });
  return row;
}

Row PacketSocketRow(std::string_view body, std::uint64_t* inode) {
  const auto head = Head<packet_diag_msg>(body);
  if (!head) return {};
  *inode = head->pdiag_ino;
  Row row;
  row["protocol"] = "packet";
  row["type"] = head->pdiag_type;
  row["ethertype"] = head->pdiag_num;
  row["inode"] = head->pdiag_ino;
  ForEachAttribute(Behind(body, sizeof(packet_diag_msg)),
                   [&](std::uint16_t type, std::string_view value) {
                     if (type == PACKET_DIAG_UID) row["uid"] = Number(value);
                     if (type != PACKET_DIAG_INFO) return;
                     const auto info = Some<packet_diag_info>(value);
                     row["interface"] = info.pdi_index;
                     row["flags"] = info.pdi_flags;
                   });
  return row;
}

Row RouteRow(std::uint16_t type, std::string_view body) {
  switch (type) {
    case RTM_NEWLINK:
      return LinkRow(body);
    case RTM_NEWADDR:
      return AddressRow(body);
    case RTM_NEWROUTE:
    case RTM_NEWRULE:
      return RtRow(body, type == RTM_NEWRULE);
    case RTM_NEWNEIGH:
      return NeighbourRow(body);
    default:
      return {};
  }
}

}  // namespace culprit
