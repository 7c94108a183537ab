// SPDX-License-Identifier: Apache-2.0
// What a file with a private key says of it without the key: its kind, and whether a passphrase
// guards it.
#include "agent/posture/authorized_keys.h"
#include "agent/posture/key_scan.h"
#include "agent/posture/wire_text.h"
#include "common/ascii.h"

namespace culprit {
namespace {

using namespace std::string_view_literals;

// The base64 between the lines of a PEM file.
std::string_view BodyOf(std::string_view bytes) {
  const std::size_t begin = bytes.find('\n');
  const std::size_t end = bytes.find("-----END");
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
  return bytes.substr(begin, end - begin);
}

void OpenSshForm(std::string_view bytes, PrivateKeyRecord* record) {
  const std::string body = DecodeBase64(BodyOf(bytes)).value_or("");
  constexpr std::string_view kMagic = "openssh-key-v1\0"sv;
  if (std::string_view(body).substr(0, kMagic.size()) != kMagic) return;
  WireText text(std::string_view(body).substr(kMagic.size()));
  const auto cipher = text.Next(), derivation = text.Next(), options = text.Next();
  const auto count = text.U32();
  const auto half = text.Next();
  if (!cipher || !derivation || !options || !count || !half) return;
  record->encrypted = *cipher != "none";
  const auto key = ParseKeyBlob(*half);
  if (!key) return;
  record->type = key->type;
  record->fingerprint = key->fingerprint;
}

}  // namespace

std::optional<PrivateKeyRecord> ReadPrivateKey(std::string_view bytes,
                                               std::string_view public_text) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  bytes = TrimFront(bytes, " \t\r\n");
  if (bytes.substr(0, kBegin.size()) != kBegin) return std::nullopt;
  const std::string_view first = bytes.substr(kBegin.size(), bytes.find('\n') - kBegin.size());
  const std::size_t end = first.find("PRIVATE KEY-----");
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view form = first.substr(0, end);
  PrivateKeyRecord record;
  record.encrypted = form == "ENCRYPTED " ||
                     bytes.substr(0, 256).find("Proc-Type: 4,ENCRYPTED") != std::string_view::npos;
  record.type = form == "RSA "   ? "ssh-rsa"
                : form == "EC "  ? "ecdsa"
                : form == "DSA " ? "ssh-dss"
                                 : "unknown";
  if (form == "OPENSSH ") OpenSshForm(bytes, &record);
  for (const KeyLine& line : ParseAuthorizedKeys(public_text, 1)) {
    if (!line.key) continue;
    record.type = line.key->type;
    record.fingerprint = line.key->fingerprint;
  }
  return record;
}

}  // namespace culprit
