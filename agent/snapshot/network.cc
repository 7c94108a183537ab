// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/network.h"

#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/packet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <array>
#include <cstring>

#include "agent/snapshot/netlink_dump.h"
#include "agent/snapshot/sock_diag.h"
#include "agent/snapshot/socket_text.h"
#include "common/ascii.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxRaw = std::size_t{8} << 20;
constexpr std::size_t kMaxRows = 50'000;
constexpr std::size_t kText = std::size_t{4} << 20;
constexpr std::size_t kTable = std::size_t{16} << 20;  // of sockets
constexpr std::size_t kMaxNamespaces = 256;
constexpr std::size_t kMaxOwners = 32;

class NamespaceReader {
 public:
  NamespaceReader(Evidence& evidence, const FoundProcesses& facts, std::uint64_t inode,
                  std::uint32_t pid)
      : evidence_(evidence), facts_(facts), inode_(inode), pid_(pid) {}

  void Sockets() {
    ForEachInetRequest([this](inet_diag_req_v2 request) {
      const std::uint8_t protocol = request.sdiag_protocol;
      request.idiag_states = ~0U;
      request.idiag_ext = 1U << (INET_DIAG_INFO - 1);
      SocketDump(request,
                 protocol == IPPROTO_TCP   ? "tcp"
                 : protocol == IPPROTO_UDP ? "udp"
                                           : "raw",
                 [protocol](std::string_view body, std::uint64_t* inode) {
                   return InetSocketRow(body, protocol, inode);
                 });
    });
    unix_diag_req of_unix{};
    of_unix.sdiag_family = AF_UNIX;
    of_unix.udiag_states = ~0U;
    of_unix.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER;
    SocketDump(of_unix, "unix", UnixSocketRow);
    packet_diag_req of_packet{};
    of_packet.sdiag_family = AF_PACKET;
    of_packet.pdiag_show = PACKET_SHOW_INFO;
    SocketDump(of_packet, "packet", PacketSocketRow);
  }

  void Routes() {
    for (const std::uint16_t type :
         {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETRULE, RTM_GETNEIGH}) {
      std::size_t rows = 0;
      evidence_.At("rtnetlink");
      // Every one of these messages begins with the family; 0 is any.
      const auto status =
          NetlinkDump(NETLINK_ROUTE, type, ifinfomsg{}, [&](std::string_view bytes) {
            ForEachMessage(bytes, [&](std::uint16_t kind, std::string_view body) {
              Row row = RouteRow(kind, body);
              if (row.empty() || ++rows > kMaxRows) return;
              row["net_namespace"] = inode_;
              evidence_.Add("network", row);
            });
            return rows <= kMaxRows;
          });
      Tell("rtnetlink " + std::to_string(type), status);
    }
  }

  // As the kernel says it: `nft` and `conntrack` of the analyst's own machine have the readers.
  void Firewall() {
    struct Part {
      const char* name;
      std::uint16_t type;
      std::uint8_t family;
    };
    constexpr std::uint16_t kNft = NFNL_SUBSYS_NFTABLES << 8U;
    constexpr std::array<Part, 5> kParts = {
        {{"nft-tables", kNft | NFT_MSG_GETTABLE, AF_UNSPEC},
         {"nft-chains", kNft | NFT_MSG_GETCHAIN, AF_UNSPEC},
         {"nft-rules", kNft | NFT_MSG_GETRULE, AF_UNSPEC},
         {"conntrack4", (NFNL_SUBSYS_CTNETLINK << 8U) | IPCTNL_MSG_CT_GET, AF_INET},
         {"conntrack6", (NFNL_SUBSYS_CTNETLINK << 8U) | IPCTNL_MSG_CT_GET, AF_INET6}}};
    for (const Part& part : kParts) {
      nfgenmsg head{};
      head.nfgen_family = part.family;
      head.version = NFNETLINK_V0;
      std::string raw;
      evidence_.At(part.name);
      const auto status =
          NetlinkDump(NETLINK_NETFILTER, part.type, head, [&](std::string_view bytes) {
            raw.append(bytes.substr(0, kMaxRaw - raw.size()));
            return raw.size() < kMaxRaw;
          });
      Tell(part.name, status);
      if (raw.size() <= NLMSG_LENGTH(sizeof(int))) continue;  // the mark of the end alone
      BundleMember member;
      member.name = "live/net/" + std::to_string(inode_) + "/" + part.name + ".nlmsg";
      member.source = std::string("netlink messages: ") + part.name;
      evidence_.AddBytes(std::move(member), raw);
    }
  }

  void Texts(int procfs) {
    for (const char* name :
         {"ip_tables_names", "ip6_tables_names", "netstat", "snmp", "sockstat", "protocols"})
      Text(procfs, name);
  }

  // From outside: what procfs tells of a namespace that cannot be entered.
  void FromOutside(int procfs) {
    struct Table {
      const char* file;
      std::uint8_t protocol;
    };
    constexpr std::array<Table, 6> kTables = {{{"tcp", IPPROTO_TCP},
                                               {"tcp6", IPPROTO_TCP},
                                               {"udp", IPPROTO_UDP},
                                               {"udp6", IPPROTO_UDP},
                                               {"raw", IPPROTO_RAW},
                                               {"raw6", IPPROTO_RAW}}};
    for (const Table& table : kTables)
      SocketTable(procfs, table.file, [&](std::string_view line, std::uint64_t* inode) {
        return InetSocketLine(line, table.protocol, inode);
      });
    SocketTable(procfs, "unix", UnixSocketLine);
    SocketTable(procfs, "packet", PacketSocketLine);
    for (const char* name : {"dev", "route", "ipv6_route", "if_inet6", "arp", "fib_trie"})
      Text(procfs, name);
  }

 private:
  void Tell(const std::string& what, const Status& status) {
    if (!status)
      evidence_.Skip(what + " of network namespace " + std::to_string(inode_),
                     status.error().message);
  }

  void Text(int procfs, const std::string& name) {
    const std::string path = std::to_string(pid_) + "/net/" + name;
    const auto text = ReadAt(procfs, path, kText);
    if (!text || text->empty()) return;
    BundleMember member;
    member.name = "live/net/" + std::to_string(inode_) + "/" + name;
    member.source = "/proc/" + path;
    evidence_.AddBytes(std::move(member), *text);
  }

  template <class MakeRow>
  void SocketTable(int procfs, const std::string& name, MakeRow make_row) {
    const std::string path = std::to_string(pid_) + "/net/" + name;
    evidence_.At("/proc/" + path);
    const auto text = ReadAt(procfs, path, kTable);
    if (!text) {
      if (text.error().code != Code::kNotFound) evidence_.Skip(path, text.error().message);
      return;
    }
    if (text->size() >= kTable) evidence_.Skip(path, "longer than the limit");
    std::string_view rest = *text;
    while (!rest.empty() && sockets_ < evidence_.limits().sockets) {
      const std::string_view line = NextLine(&rest);
      std::uint64_t inode = 0;
      Row row = make_row(line, &inode);
      if (row.empty()) continue;
      ++sockets_;
      Owners(inode, &row);
      evidence_.Add("sockets", row);
    }
  }

  template <class Request, class MakeRow>
  void SocketDump(const Request& request, const std::string& what, MakeRow make_row) {
    evidence_.At("sock_diag " + what);
    const auto status =
        NetlinkDump(NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, request, [&](std::string_view bytes) {
          ForEachMessage(bytes, [&](std::uint16_t kind, std::string_view body) {
            if (kind != SOCK_DIAG_BY_FAMILY || sockets_ >= evidence_.limits().sockets) return;
            std::uint64_t inode = 0;
            Row row = make_row(body, &inode);
            if (row.empty()) return;
            ++sockets_;
            Owners(inode, &row);
            evidence_.Add("sockets", row);
          });
          return sockets_ < evidence_.limits().sockets;
        });
    Tell("sock_diag " + what, status);
  }

  void Owners(std::uint64_t inode, Row* row) {
    (*row)["net_namespace"] = inode_;
    Row& owners = (*row)["owners"] = Row::array();
    const auto it = facts_.socket_owners.find(inode);
    if (inode == 0 || it == facts_.socket_owners.end()) return;
    for (const auto& [pid, descriptor] : it->second) {
      if (owners.size() >= kMaxOwners) break;
      Row owner;
      owner["pid"] = pid;
      owner["descriptor"] = descriptor;
      owners.push_back(std::move(owner));
    }
  }

  Evidence& evidence_;
  const FoundProcesses& facts_;
  std::uint64_t inode_;
  std::uint32_t pid_;
  std::size_t sockets_ = 0;
};

std::uint64_t OwnNamespace() {
  struct stat st {};
  return stat("/proc/thread-self/ns/net", &st) == 0 ? st.st_ino : 0;
}

}  // namespace

void CollectNetwork(Evidence& evidence, const SnapshotProcfs& procfs, const FoundProcesses& facts) {
  std::uint64_t current = OwnNamespace();
  std::size_t count = 0;
  for (const auto& [inode, pid] : facts.net_namespaces) {
    if (evidence.Over()) return;
    if (++count > kMaxNamespaces) {
      evidence.Skip("network namespaces", "more than " + std::to_string(kMaxNamespaces));
      return;
    }
    // The collector's thread is of no use for anything else: it need not come back.
    const UniqueFd place(
        openat(procfs.fd.get(), (std::to_string(pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
    struct stat st {};
    const bool right = place && fstat(place.get(), &st) == 0 && st.st_ino == inode;
    if (right && setns(place.get(), CLONE_NEWNET) == 0) current = inode;
    NamespaceReader reader(evidence, facts, inode, pid);
    if (inode != current) {
      evidence.Skip("network namespace " + std::to_string(inode),
                    std::string("it cannot be entered (") + std::strerror(errno) +
                        "): its sockets are as /proc/" + std::to_string(pid) +
                        "/net has them, without bytes, and its firewall is missing");
      reader.FromOutside(procfs.fd.get());
      reader.Texts(procfs.fd.get());
      continue;
    }
    reader.Sockets();
    reader.Routes();
    reader.Firewall();
    reader.Texts(procfs.fd.get());
  }
}

}  // namespace culprit
