// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/socket_text.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "agent/snapshot/sock_diag.h"
#include "common/ascii.h"
#include "common/net_address.h"
#include "common/number.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxFields = 20;

std::vector<std::string_view> Fields(std::string_view line) {
  std::vector<std::string_view> fields;
  while (fields.size() < kMaxFields) {
    const std::string_view field = NextWord(&line, " \t\n");
    if (field.empty()) break;
    fields.push_back(field);
  }
  return fields;
}

struct End {
  std::string address;
  std::uint16_t port = 0;
};

// "0100007F:1F90": words of the address as the host has them in memory.
std::optional<End> ParseEnd(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon != 8 && colon != 32) return std::nullopt;
  const auto port = AsNumber<std::uint16_t>(text.substr(colon + 1), 16);
  std::string bytes;
  for (std::size_t at = 0; at < colon; at += 8) {
    const auto word = AsNumber<std::uint32_t>(text.substr(at, 8), 16);
    if (!word) return std::nullopt;
    std::array<char, sizeof *word> raw{};
    std::memcpy(raw.data(), &*word, raw.size());
    bytes.append(raw.data(), raw.size());
  }
  const auto address = IpAddress::FromBytes(bytes);
  if (!port || !address) return std::nullopt;
  return End{address->ToString(), *port};
}

}  // namespace

// sl local remote st tx:rx tr:when retrnsmt uid timeout inode …
Row InetSocketLine(std::string_view line, std::uint8_t protocol, std::uint64_t* inode) {
  const auto fields = Fields(line);
  if (fields.size() < 10) return {};
  const auto local = ParseEnd(fields[1]), remote = ParseEnd(fields[2]);
  const auto state = AsNumber<unsigned>(fields[3], 16);
  const auto send = AsNumber<std::uint32_t>(fields[4].substr(0, fields[4].find(':')), 16);
  const auto receive = AsNumber<std::uint32_t>(
      fields[4].substr(std::min(fields[4].find(':'), fields[4].size() - 1) + 1), 16);
  const auto uid = AsNumber<std::uint32_t>(fields[7]);
  const auto number = AsNumber<std::uint64_t>(fields[9]);
  if (!local || !remote || !state || !send || !receive || !uid || !number) return {};
  *inode = *number;
  Row row;
  row["protocol"] = SocketProtocolName(protocol);
  row["state"] = protocol == IPPROTO_TCP ? TcpStateName(*state)
                 : *state == 1           ? "connected"
                                         : "open";
  row["local"] = local->address;
  row["local_port"] = local->port;
  row["remote"] = remote->address;
  row["remote_port"] = remote->port;
  row["uid"] = *uid;
  row["inode"] = *number;
  row["receive_queue"] = *receive;
  row["send_queue"] = *send;
  return row;
}

// Num: RefCount Protocol Flags Type St Inode [Path]
Row UnixSocketLine(std::string_view line, std::uint64_t* inode) {
  constexpr unsigned kListens = 0x10000;  // of Flags
  constexpr unsigned kConnected = 3;      // of St
  const auto fields = Fields(line);
  if (fields.size() < 7) return {};
  const auto flags = AsNumber<unsigned>(fields[3], 16), type = AsNumber<unsigned>(fields[4], 16),
             state = AsNumber<unsigned>(fields[5], 16);
  const auto number = AsNumber<std::uint64_t>(fields[6]);
  if (!flags || !type || !state || !number) return {};
  *inode = *number;
  Row row;
  row["protocol"] = "unix";
  row["state"] = (*flags & kListens) != 0 ? "listen"
                 : *state == kConnected   ? "established"
                                          : "close";
  row["type"] = *type;
  row["inode"] = *number;
  if (fields.size() > 7) {
    const auto from = static_cast<std::size_t>(fields[7].data() - line.data());
    row["name"] = RowText(line.substr(from, 108));
  }
  return row;
}

// sk RefCnt Type Proto Iface R Rmem User Inode
Row PacketSocketLine(std::string_view line, std::uint64_t* inode) {
  const auto fields = Fields(line);
  if (fields.size() < 9) return {};
  const auto type = AsNumber<unsigned>(fields[2]), interface = AsNumber<unsigned>(fields[4]);
  const auto protocol = AsNumber<unsigned>(fields[3], 16);
  const auto number = AsNumber<std::uint64_t>(fields[8]);
  if (!type || !interface || !protocol || !number) return {};
  *inode = *number;
  Row row;
  row["protocol"] = "packet";
  row["type"] = *type;
  row["ethertype"] = *protocol;
  if (const auto uid = AsNumber<std::uint32_t>(fields[7])) row["uid"] = *uid;
  row["interface"] = *interface;
  row["inode"] = *number;
  return row;
}

}  // namespace culprit
