// SPDX-License-Identifier: Apache-2.0
// The commands of culprit-collector that decide who gets in: join tokens, enrolled hosts, what is
// revoked, the audit log. They run beside the collector, which sees what they did within a second,
// and each change has its line in the audit log. Each returns what is to be printed.
// Stage: wiring. Thread: one caller.
#ifndef CULPRIT_COLLECTOR_ACCESS_COMMANDS_H_
#define CULPRIT_COLLECTOR_ACCESS_COMMANDS_H_

#include <cstdint>
#include <string>

#include "collector/config.h"
#include "common/result.h"

namespace culprit {

struct TokenArgs {
  std::string id;            // to be revoked
  std::string host, note;    // to be made
  std::string life = "1h";   // a span
  std::uint32_t uses = 1;
  bool json = false;
};
// The token itself is printed once, and stored nowhere.
Result<std::string> CreateTokenCommand(const CollectorConfig& config, const TokenArgs& args);
Result<std::string> ListTokensCommand(const CollectorConfig& config, const TokenArgs& args);
Result<std::string> RevokeTokenCommand(const CollectorConfig& config, const TokenArgs& args);

Result<std::string> ListHostsCommand(const CollectorConfig& config, bool json);
Result<std::string> RevokeCommand(const CollectorConfig& config, const std::string& what,
                                  const std::string& why);
Result<std::string> AllowCommand(const CollectorConfig& config, const std::string& what);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ACCESS_COMMANDS_H_
