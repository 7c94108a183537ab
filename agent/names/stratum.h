// SPDX-License-Identifier: Apache-2.0
// What a miner says to its pool: lines of JSON of Stratum (mining.*), of its dialect for CryptoNote
// ("login", "submit") and of that for Ethereum (eth_*). Total on any bytes; lines, their number and
// the depth of their values are bounded. Stage: names. Pure. Thread: any.
#ifndef CULPRIT_AGENT_NAMES_STRATUM_H_
#define CULPRIT_AGENT_NAMES_STRATUM_H_

#include <cstddef>
#include <string_view>

#include "agent/model/observation.h"
#include "agent/names/verdict.h"

namespace culprit {

inline constexpr std::size_t kMaxStratumLine = 4096;
inline constexpr std::size_t kMaxStratumLines = 16;  // until somebody has logged in

// kFound with who logs in (a user or a wallet), which is empty where work is handed in by nobody
// that is named. kMore too while only a subscription was seen: `spoken` says that it is Stratum
// already.
Verdict ParseStratum(std::string_view stream, ServerName& out, bool& spoken);

}  // namespace culprit

#endif  // CULPRIT_AGENT_NAMES_STRATUM_H_
