// SPDX-License-Identifier: Apache-2.0
// Fuzzer: what processes and the kernel say to a snapshot: texts of /proc/PID, answers of netlink,
// utmp, and what is redacted. Nothing that was redacted holds more than it did, and a row is always
// text.
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/snapshot/host_state.h"
#include "agent/snapshot/process_text.h"
#include "agent/snapshot/redact.h"
#include "agent/snapshot/sock_diag.h"
#include "agent/snapshot/socket_text.h"
#include "common/bundle_manifest.h"

using namespace culprit;  // NOLINT(google-build-using-namespace)

namespace {

void Texts(std::string_view text) {
  if (const auto stat = ParseStat(text); stat && stat->comm.size() > text.size()) std::abort();
  (void)StatusField(text, "Uid");
  if (ParseArguments(text, 100).size() > 100) std::abort();
  (void)SocketInode(text);
  if (const auto range = ParseMapLine(text)) {
    if (range->end <= range->start) std::abort();
    (void)IsAnonymousCode(*range);
  }
  const std::string name = MemberNameOf(text);
  if (name.size() > kMaxMemberName || !name.starts_with("[root]") ||
      name.find("/../") != std::string::npos)
    std::abort();
}

void Redactions(std::string_view text) {
  (void)HoldsPrivateKey(text);
  const Redacted secrets = RedactSecrets(text);
  if (secrets.places == 0 && secrets.text != text) std::abort();
  const Redacted shadow = RedactShadow(text);
  if (std::count(shadow.text.begin(), shadow.text.end(), '\n') <
      std::count(text.begin(), text.end(), '\n'))
    std::abort();
  for (const auto& [variable, value] : EnvironmentNames(text))
    if (variable.empty() || variable.size() > 128 || value.size() > 1024) std::abort();
}

void Messages(std::string_view bytes) {
  std::size_t rows = 0;
  ForEachMessage(bytes, [&](std::uint16_t type, std::string_view body) {
    std::uint64_t inode = 0;
    for (const Row& row : {InetSocketRow(body, IPPROTO_TCP, &inode), UnixSocketRow(body, &inode),
                           PacketSocketRow(body, &inode), RouteRow(type, body)}) {
      rows += row.dump().size();
    }
  });
  std::uint64_t inode = 0;
  for (const Row& row : {InetSocketLine(bytes, IPPROTO_TCP, &inode), UnixSocketLine(bytes, &inode),
                         PacketSocketLine(bytes, &inode)})
    rows += row.dump().size();
  for (const Row& row : UtmpRows(bytes, 16)) rows += row.dump().size();
  if (rows > 1000 * (bytes.size() + 1)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Texts(bytes);
  Redactions(bytes);
  Messages(bytes);
  return 0;
}
