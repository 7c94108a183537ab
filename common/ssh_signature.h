// SPDX-License-Identifier: Apache-2.0
// Ed25519 signatures in the form of `ssh-keygen -Y`, so that who gets a signed file can check it
// with a tool that is everywhere, and years later.
//
// Stage: common; edge only where a key's file is named. Thread: values. Parsing is total on any
// bytes. Key material never gets into a message.
#ifndef CULPRIT_COMMON_SSH_SIGNATURE_H_
#define CULPRIT_COMMON_SSH_SIGNATURE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"

namespace culprit {

using Ed25519PublicKey = std::array<std::uint8_t, 32>;

// "ssh-ed25519 AAAA…"
std::string SshPublicKeyText(const Ed25519PublicKey& key);
// "SHA256:…", as ssh-keygen -l shows it.
std::string SshFingerprint(const Ed25519PublicKey& key);
// The first Ed25519 key in a text of *.pub, allowed_signers or authorized_keys.
Result<Ed25519PublicKey> ParseSshPublicKey(std::string_view text);

class Ed25519Key {
 public:
  // The key of a PEM file, which is made with mode 0600 if there is none. Errors: name the path.
  static Result<Ed25519Key> LoadOrMake(const std::string& path);
  static Result<Ed25519Key> Make();
  Ed25519Key(Ed25519Key&&) noexcept;
  Ed25519Key& operator=(Ed25519Key&&) noexcept;
  ~Ed25519Key();

  const Ed25519PublicKey& public_key() const { return public_key_; }
  // The armoured signature of `message` in a name space (what the signature is for).
  Result<std::string> Sign(std::string_view name_space, std::string_view message) const;

 private:
  struct Key;
  Ed25519Key(std::unique_ptr<Key> key, const Ed25519PublicKey& public_key);
  std::unique_ptr<Key> key_;
  Ed25519PublicKey public_key_{};
};

struct SshSignature {
  Ed25519PublicKey key{};
  std::string name_space;
  std::string hash_name;  // sha512 or sha256
  std::array<std::uint8_t, 64> signature{};
};

Result<SshSignature> ParseSshSignature(std::string_view armoured);
// Whether it is the signature of `message`. Says nothing of whose key it is.
bool SignatureFits(const SshSignature& signature, std::string_view message);

}  // namespace culprit

#endif  // CULPRIT_COMMON_SSH_SIGNATURE_H_
