// SPDX-License-Identifier: Apache-2.0
#include "collector/model/posture_rules.h"

#include <algorithm>
#include <limits>
#include <string>

namespace culprit {
namespace {

// The agent cuts texts to 1,024 bytes and paths are PATH_MAX, both before bytes are escaped as
// \xNN.
constexpr std::size_t kMaxText = 16'384;
constexpr std::size_t kMaxDiff = 16'384 + 64;
constexpr std::size_t kMaxWord = 256;
constexpr int kMaxList = 4'096, kMaxKeys = 10'000, kMaxPolicy = 10'000, kMaxFindings = 2'000;
constexpr std::uint32_t kMaxSeverity = 4;
constexpr auto kMaxTime = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

bool Fits(const std::string& text) { return text.size() <= kMaxText; }
bool IsWord(const std::string& text) { return text.size() <= kMaxWord; }

template <class Texts>
bool AllFit(const Texts& texts) {
  return texts.size() <= kMaxList && std::all_of(texts.begin(), texts.end(), Fits);
}

bool Good(const v1::SshServer& s) {
  return IsWord(s.kind()) && Fits(s.exe()) && Fits(s.command()) && AllFit(s.listens());
}
bool Good(const v1::SshPolicy& p) {
  return Fits(p.user()) && IsWord(p.source()) && AllFit(p.methods()) && Fits(p.forwarding());
}
bool Good(const v1::SshFinding& f) {
  return IsWord(f.id()) && f.severity() <= kMaxSeverity && Fits(f.reason()) &&
         AllFit(f.evidence()) && AllFit(f.contexts()) && Fits(f.fix());
}
bool Good(const v1::AuthorizedKey& k) {
  return Fits(k.user()) && Fits(k.path()) && Fits(k.type()) && IsWord(k.fingerprint()) &&
         Fits(k.comment()) && Fits(k.options()) && Fits(k.refused()) && IsWord(k.kind());
}
bool Good(const v1::PostureChange::FileState& s) {
  return s.sha256().empty() || s.sha256().size() == 32;
}

template <class Records>
bool AllGood(const Records& records, int limit) {
  return records.size() <= limit &&
         std::all_of(records.begin(), records.end(), [](const auto& r) { return Good(r); });
}

}  // namespace

bool IsGood(const v1::Posture& p) {
  return p.at_boot_ns() <= kMaxTime && Fits(p.config_path()) && AllFit(p.files()) &&
         AllFit(p.limits()) && AllGood(p.servers(), kMaxList) && AllGood(p.policy(), kMaxPolicy) &&
         AllGood(p.findings(), kMaxFindings) && AllGood(p.keys(), kMaxKeys);
}

bool IsGood(const v1::PostureChange& c) {
  return c.at_boot_ns() <= kMaxTime && c.kind() > 0 && c.kind() <= v1::PostureChangeKind_MAX &&
         c.confidence() <= v1::WriterConfidence_MAX && Fits(c.path()) && Good(c.before()) &&
         Good(c.after()) && c.diff().size() <= kMaxDiff && AllFit(c.listens());
}

}  // namespace culprit
