// SPDX-License-Identifier: Apache-2.0
// Public keys of SSH as sshd reads them: base64, blobs, fingerprints. Stage: posture, pure. Thread:
// values. Total: blobs of any bytes; what sshd would not take is an error that says why.
#ifndef CULPRIT_AGENT_POSTURE_SSH_KEY_H_
#define CULPRIT_AGENT_POSTURE_SSH_KEY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace culprit {

struct SshPublicKey {
  enum class Kind : std::uint8_t { kRsa, kDsa, kEcdsa, kEd25519, kEcdsaSk, kEd25519Sk };
  Kind kind = Kind::kRsa;
  bool certificate = false;
  std::string type;            // "ssh-ed25519", "ecdsa-sha2-nistp256"
  std::uint32_t bits = 0;      // as ssh-keygen -l counts
  std::uint64_t exponent = 0;  // of RSA; 0: larger than 64 bits
  std::string blob;            // of a certificate the key alone, when that is what is hashed
  std::string fingerprint;     // "SHA256:…"
};

// Kind and whether it is a certificate, of the word that a line begins with.
struct SshKeyType {
  SshPublicKey::Kind kind = SshPublicKey::Kind::kRsa;
  bool certificate = false;
  std::string_view curve;  // of ECDSA
};
std::optional<SshKeyType> KeyTypeOf(std::string_view name);

// The words of PubkeyAcceptedAlgorithms by which a key can be used, between commas.
std::string_view AlgorithmsOf(const SshPublicKey& key);

Result<SshPublicKey> ParseKeyBlob(std::string_view blob);

// As sshd decodes: white space is passed over, padding has to be right. nullopt: not base64.
std::optional<std::string> DecodeBase64(std::string_view text);
std::string FingerprintOf(std::string_view blob);

}  // namespace culprit

#endif  // CULPRIT_AGENT_POSTURE_SSH_KEY_H_
