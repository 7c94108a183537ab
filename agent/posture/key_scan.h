// SPDX-License-Identifier: Apache-2.0
// Every key that would let somebody in, and what there is to say of it. Stage: posture, pure behind
// FileTree. Thread: one caller. Bounded: 1 MiB and 10,000 lines of a file, 50,000 records,
// 2,000 accounts, 256 files of a home that may be private keys; what goes beyond is a limit in the
// report.
#ifndef CULPRIT_AGENT_POSTURE_KEY_SCAN_H_
#define CULPRIT_AGENT_POSTURE_KEY_SCAN_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/posture/key_records.h"
#include "agent/posture/policy.h"

namespace culprit {

struct KeyScanInput {
  const SshdConfig& config;
  const Accounts& accounts;
  const std::vector<PolicyContext>& contexts;
  std::string user;        // "": all
  std::int64_t now_s = 0;  // for expiry-time; 0: it is not judged
};

// Fills keys, private_keys and limits.
void ScanKeys(FileTree& tree, const KeyScanInput& input, PostureReport* report);

struct KeyCheckInput {
  const Accounts& accounts;
  const KnownBadKeys& known_bad;
  const KeyBaseline* baseline = nullptr;  // nullptr: every key is as good as an old one
};
std::vector<PostureFinding> CheckKeys(FileTree& tree, const KeyCheckInput& input,
                                      const PostureReport& report);

// A private key in a file; nullopt: it is none. `public_text`: the content of PATH.pub, "" without.
std::optional<PrivateKeyRecord> ReadPrivateKey(std::string_view bytes,
                                               std::string_view public_text);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_KEY_SCAN_H_
