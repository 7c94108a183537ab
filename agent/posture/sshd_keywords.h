// SPDX-License-Identifier: Apache-2.0
// What sshd 9.2 of Debian 12 knows: keywords with the form of their value, algorithms, defaults.
// Stage: posture, pure. Thread: constants.
#ifndef CULPRIT_AGENT_POSTURE_SSHD_KEYWORDS_H_
#define CULPRIT_AGENT_POSTURE_SSHD_KEYWORDS_H_

#include <string>
#include <string_view>
#include <vector>

#include "agent/posture/sshd_config.h"

namespace culprit {

enum class ValueForm : std::uint8_t {
  kFlag,
  kChoice,
  kTime,
  kInt,
  kPath,
  kTildePath,
  kWord,
  kSocket,
  kProvider,
  kAlgorithms,
  kKeyAlgorithms,
  kGssAlgorithms,
  kUsers,
  kGroups,
  kAcceptEnv,
  kSetEnv,
  kKeyFiles,
  kLogVerbose,
  kChannelTimeout,
  kMethods,
  kForwards,
  kPort,
  kListen,
  kHostKey,
  kHostCertificate,
  kSubsystem,
  kMaxStartups,
  kNetBlock,
  kPerSource,
  kQos,
  kTunnel,
  kFacility,
  kLogLevel,
  kKeyOptions,
  kUserEnvironment,
  kRekey,
  kRest,
  kVersionText,
  kCommand,
  kMask,
  kDigest,
  kUnusedTimeout,
  kRdomain,
  kIgnored,
  kMatch,
  kInclude,
  kLater,  // a keyword of a later version
};

struct Keyword {
  std::string_view name;
  std::string_view canonical;
  ValueForm form;
  bool in_match;  // allowed in a Match block
  bool copied;    // a Match block can change it
};

// Case is ignored; nullptr: unknown.
const Keyword* FindKeyword(std::string_view name);
// The few keywords of which sshd 9.2 takes the last value, not the first.
bool LastValueWins(std::string_view canonical);
// Words of a kChoice keyword, in pairs of what is written and what it means.
std::vector<std::pair<std::string_view, std::string_view>> ChoicesOf(std::string_view canonical);

// The default list and all that there is of ciphers, macs, kexalgorithms, hostkeyalgorithms, …
std::string_view DefaultAlgorithms(std::string_view canonical);
std::string_view AllAlgorithms(std::string_view canonical);
// Whether each name of a list (without + - ^) is known to 9.2.
bool AlgorithmsAreKnown(std::string_view canonical, std::string_view list);
// The list in force: + - ^ and wildcards applied. Unknown names stay where `keep_unknown`. Empty:
// sshd refuses it.
std::string AssembleAlgorithms(std::string_view canonical, std::string_view list,
                               bool keep_unknown);

// Fills what is not set, as sshd does after it has read its files.
void FillDefaults(Settings& settings);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_SSHD_KEYWORDS_H_
