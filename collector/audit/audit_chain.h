// SPDX-License-Identifier: Apache-2.0
// One line of the audit log: who did what with which result, and the hash that chains it to the line
// before. A line is a JSON object whose last member is "hash": the SHA-256 of all bytes of the line
// before `,"hash"`; "prev" is the hash of the line before, so that no line can be changed, left out
// or put in without a break that `grep` and `sha256sum` show.
// Stage: audit. Pure. Thread: any. Reading is total on any bytes.
#ifndef CULPRIT_COLLECTOR_AUDIT_AUDIT_CHAIN_H_
#define CULPRIT_COLLECTOR_AUDIT_AUDIT_CHAIN_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "common/result.h"
#include "common/time.h"

namespace culprit {

struct AuditEvent {
  std::string actor;   // "operator:night", "agent:i-0abc", "local:root"; "unknown" for strangers
  std::string role;    // of an operator; else empty
  std::string peer;    // address as the transport tells it; empty = not known or local
  std::string action;  // "/culprit.v1.Query/Top", "enrol", "revoke", "handshake", ...
  std::string result;  // "ok", or why not in one word
  std::string detail;  // what was asked, or the reason in words
};

struct AuditEntry {
  std::uint64_t seq = 0;  // from 1, without holes
  WallTime time;
  AuditEvent event;
  std::string prev, hash;  // 64 hex digits
};

// Texts are cut to this many bytes, and what is no UTF-8 is replaced: no line is over 16 KiB.
inline constexpr std::size_t kMaxAuditText = 256, kMaxAuditDetail = 1024;
inline constexpr std::size_t kMaxAuditLine = 16'384;

std::string FirstAuditHash();  // 64 zeros: what the first line follows
// The line without its newline; fills in entry->hash.
std::string WriteAuditLine(AuditEntry* entry);
// Errors: kDataLoss: no such line, or its hash is not that of its bytes.
Result<AuditEntry> ReadAuditLine(std::string_view line);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_AUDIT_AUDIT_CHAIN_H_
