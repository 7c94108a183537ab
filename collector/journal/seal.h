// SPDX-License-Identifier: Apache-2.0
// The seal of a closed journal segment: what was in it, its hash, and the collector's Ed25519 signature.
//
// Signed are the bytes of SealText(): one "key value" line each for format, journal, first_lsn, last_lsn, entries, bytes,
// sha256, last_hash, first_prev_hash, last_received, then a line "head STREAM LANE AGENT SEQ HASH LSN" for each head. So a
// signature can be checked with stock openssl, whatever the JSON looks like.
//
// Stage: journal (edge: keys). Thread: a Signer or Verifier belongs to one thread.
#ifndef CULPRIT_COLLECTOR_JOURNAL_SEAL_H_
#define CULPRIT_COLLECTOR_JOURNAL_SEAL_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "collector/journal/heads.h"
#include "common/result.h"

namespace culprit {

inline constexpr std::string_view kSealFormat = "culprit-journal-seal-1";
inline constexpr std::string_view kHeadsFormat = "culprit-journal-heads-1";

struct JournalSeal {
  std::string format{kSealFormat};
  Uuid journal_id;
  Lsn first_lsn = 0, last_lsn = 0;
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  Sha256Digest sha256{};
  Sha256Digest last_hash{};
  Sha256Digest first_prev_hash{};
  WallTime last_received;
  std::vector<HeadEntry> heads;
  std::string signature;  // 64 bytes, or empty
};

std::string SealText(const JournalSeal& seal);
std::string FormatSeal(const JournalSeal& seal);  // JSON
// Total on any bytes. Does not check the signature.
Result<JournalSeal> ParseSeal(std::string_view json);

class SealSigner {
 public:
  // Errors: no file, not a PEM private key, not Ed25519; each names the path.
  static Result<SealSigner> FromFile(const std::string& private_key_path);
  SealSigner(SealSigner&&) noexcept;
  SealSigner& operator=(SealSigner&&) noexcept;
  ~SealSigner();
  Status Sign(JournalSeal* seal) const;

 private:
  struct Key;
  explicit SealSigner(std::unique_ptr<Key> key);
  std::unique_ptr<Key> key_;
};

class SealVerifier {
 public:
  static Result<SealVerifier> FromFile(const std::string& public_key_path);
  SealVerifier(SealVerifier&&) noexcept;
  SealVerifier& operator=(SealVerifier&&) noexcept;
  ~SealVerifier();
  bool Verify(const JournalSeal& seal) const;

 private:
  struct Key;
  explicit SealVerifier(std::unique_ptr<Key> key);
  std::unique_ptr<Key> key_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_JOURNAL_SEAL_H_
