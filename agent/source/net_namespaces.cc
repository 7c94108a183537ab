// SPDX-License-Identifier: Apache-2.0
#include "agent/source/net_namespaces.h"

#include <array>
#include <charconv>
#include <utility>

#include "agent/source/procfs.h"
#include "common/ascii.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxProcesses = 65'536;
constexpr std::size_t kMaxTextBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxInterfaces = 4'096;
constexpr std::chrono::nanoseconds kScanEvery = std::chrono::minutes(1);
constexpr std::size_t kFields = 16;  // eight for what came in, eight for what went out

// The next number of a line, which is shortened; false: there is none.
bool TakeNumber(std::string_view& line, std::uint64_t& value) {
  line = TrimFront(line);
  const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), value);
  if (error != std::errc()) return false;
  line.remove_prefix(static_cast<std::size_t>(stop - line.data()));
  return true;
}

bool ParseLine(std::string_view line, InterfaceCountersEvent& out) {
  const std::size_t colon = line.rfind(':');  // an old alias has one in its name
  if (colon == std::string_view::npos) return false;
  const std::string_view name = TrimFront(line.substr(0, colon));
  if (name.empty() || name.size() >= 16) return false;
  line.remove_prefix(colon + 1);
  std::array<std::uint64_t, kFields> fields{};
  for (std::uint64_t& field : fields) {
    if (!TakeNumber(line, field)) return false;
  }
  out.name = std::string(name);
  out.rx_bytes = fields[0];
  out.rx_packets = fields[1];
  out.tx_bytes = fields[8];
  out.tx_packets = fields[9];
  return true;
}

}  // namespace

std::vector<InterfaceCountersEvent> ParseNetDev(std::string_view text) {
  std::vector<InterfaceCountersEvent> interfaces;
  while (!text.empty() && interfaces.size() < kMaxInterfaces) {
    InterfaceCountersEvent interface;
    if (ParseLine(NextLine(&text), interface)) interfaces.push_back(std::move(interface));
  }
  return interfaces;
}

NetNamespaces::NetNamespaces(std::string root) : root_(std::move(root)) {}

std::uint32_t NetNamespaces::NamespaceOf(Tgid tgid) const {
  constexpr std::string_view kPrefix = "net:[";
  const std::string path = root_ + "/" + std::to_string(tgid.value()) + "/ns/net";
  const std::string link = ReadLink(path).value_or("");
  if (!link.starts_with(kPrefix)) return 0;
  std::uint32_t inode = 0;
  std::from_chars(link.data() + kPrefix.size(), link.data() + link.size(), inode);
  return inode;
}

void NetNamespaces::Scan(BootTime now) {
  ++scans_;
  scanned_ = now;
  members_.clear();
  deserted_.clear();
  // The oldest first: it is the likeliest to stay.
  for (const Tgid tgid : Procfs(root_).List(kMaxProcesses)) {
    if (const std::uint32_t netns = NamespaceOf(tgid); netns != 0)
      members_.try_emplace(netns, tgid);
  }
}

std::optional<Tgid> NetNamespaces::MemberOf(std::uint32_t netns, BootTime now) {
  const auto known = members_.find(netns);
  if (known != members_.end() && NamespaceOf(known->second) == netns) return known->second;
  const bool may_scan = scans_ == 0 || now - scanned_ >= kScanEvery;
  // One that was never looked for may be new; one that the scan did not find, or whose process
  // went, has to wait.
  const bool never_sought = known == members_.end() && !deserted_.contains(netns);
  if (!may_scan && !never_sought) return std::nullopt;
  Scan(now);
  const auto found = members_.find(netns);
  if (found != members_.end()) return found->second;
  deserted_.insert(netns);
  return std::nullopt;
}

std::optional<std::vector<InterfaceCountersEvent>> NetNamespaces::Read(std::uint32_t netns,
                                                                       BootTime now) {
  const auto member = MemberOf(netns, now);
  if (!member) return std::nullopt;
  const auto text =
      ReadWholeFile(root_ + "/" + std::to_string(member->value()) + "/net/dev", kMaxTextBytes);
  // Whose it was is known only if it is still there.
  if (!text || NamespaceOf(*member) != netns) return std::nullopt;
  auto interfaces = ParseNetDev(*text);
  for (InterfaceCountersEvent& interface : interfaces) {
    interface.at = now;
    interface.netns = netns;
  }
  return interfaces;
}

}  // namespace culprit
