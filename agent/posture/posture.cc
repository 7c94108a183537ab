// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/posture.h"

#include <algorithm>
#include <array>

namespace culprit {

std::string_view SeverityName(Severity severity) {
  constexpr std::array<std::string_view, 5> kNames = {"info", "low", "medium", "high", "critical"};
  return kNames.at(static_cast<std::size_t>(severity));
}

std::string_view SourceClassName(SourceClass source) {
  constexpr std::array<std::string_view, 3> kNames = {"public", "private", "loopback"};
  return kNames.at(static_cast<std::size_t>(source));
}

std::string_view ServerKindName(SshServer::Kind kind) {
  constexpr std::array<std::string_view, 4> kNames = {"OpenSSH", "Dropbear", "TinySSH",
                                                      "socket unit"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::string_view KeyKindName(KeyRecord::Kind kind) {
  constexpr std::array<std::string_view, 3> kNames = {"user key", "user authority", "authority"};
  return kNames.at(static_cast<std::size_t>(kind));
}

Severity PostureReport::Worst() const {
  Severity worst = Severity::kInfo;
  for (const PostureFinding& finding : findings) worst = std::max(worst, finding.severity);
  return worst;
}

}  // namespace culprit
