// SPDX-License-Identifier: Apache-2.0
#include "agent/model/wire_posture.h"

#include "agent/model/wire.h"

namespace culprit {
namespace {

template <class Field>
void Texts(const std::vector<std::string>& from, Field* to) {
  for (const std::string& text : from) *to->Add() = EscapeNonUtf8(text);
}

void Write(const SshServerFacts& facts, v1::SshServer& out) {
  out.set_kind(facts.kind);
  out.set_pid(facts.pid);
  out.set_exe(EscapeNonUtf8(facts.exe));
  out.set_exe_deleted(facts.exe_deleted);
  out.set_command(EscapeNonUtf8(facts.command));
  Texts(facts.listens, out.mutable_listens());
  out.set_process_id(facts.process.value());
}

void Write(const SshPolicyFacts& facts, v1::SshPolicy& out) {
  out.set_user(EscapeNonUtf8(facts.user));
  out.set_source(facts.source);
  out.set_admitted(facts.admitted);
  Texts(facts.methods, out.mutable_methods());
  out.set_forwarding(facts.forwarding);
}

void Write(const SshFindingFacts& facts, v1::SshFinding& out) {
  out.set_id(facts.id);
  out.set_severity(facts.severity);
  out.set_reason(EscapeNonUtf8(facts.reason));
  Texts(facts.evidence, out.mutable_evidence());
  Texts(facts.contexts, out.mutable_contexts());
  out.set_fix(EscapeNonUtf8(facts.fix));
}

void Write(const AuthorizedKeyFacts& facts, v1::AuthorizedKey& out) {
  out.set_user(EscapeNonUtf8(facts.user));
  out.set_path(EscapeNonUtf8(facts.path));
  out.set_line(facts.line);
  out.set_type(EscapeNonUtf8(facts.type));
  out.set_bits(facts.bits);
  out.set_fingerprint(facts.fingerprint);
  out.set_comment(EscapeNonUtf8(facts.comment));
  out.set_options(EscapeNonUtf8(facts.options));
  out.set_accepted(facts.accepted);
  out.set_refused(EscapeNonUtf8(facts.refused));
  out.set_kind(facts.kind);
  out.set_immutable(facts.immutable);
  out.set_append_only(facts.append_only);
}

void Write(const FileStateFacts& facts, v1::PostureChange::FileState& out) {
  if (facts.sha256) out.set_sha256(std::string(AsBytes(*facts.sha256)));
  out.set_size_bytes(facts.size_bytes);
  out.set_uid(facts.uid);
  out.set_mode(facts.mode);
  out.set_immutable(facts.immutable);
  out.set_append_only(facts.append_only);
}

void Write(const PostureChangeFacts& facts, v1::PostureChange& out) {
  out.set_at_boot_ns(ToNs(facts.at));
  out.set_kind(static_cast<v1::PostureChangeKind>(facts.kind));
  out.set_path(EscapeNonUtf8(facts.path));
  if (facts.before) Write(*facts.before, *out.mutable_before());
  if (facts.after) Write(*facts.after, *out.mutable_after());
  out.set_diff(EscapeNonUtf8(facts.diff));
  out.set_diff_cut(facts.diff_cut);
  out.set_process_id(facts.process.value());
  out.set_pid(facts.pid);
  out.set_confidence(static_cast<v1::WriterConfidence>(facts.confidence));
  Texts(facts.listens, out.mutable_listens());
}

void Write(const PostureFacts& facts, v1::Posture& out) {
  out.set_at_boot_ns(ToNs(facts.at));
  out.set_config_path(EscapeNonUtf8(facts.config_path));
  Texts(facts.files, out.mutable_files());
  for (const SshServerFacts& server : facts.servers) Write(server, *out.add_servers());
  for (const SshPolicyFacts& entry : facts.policy) Write(entry, *out.add_policy());
  for (const SshFindingFacts& finding : facts.findings) Write(finding, *out.add_findings());
  for (const AuthorizedKeyFacts& key : facts.keys) Write(key, *out.add_keys());
  Texts(facts.limits, out.mutable_limits());
  out.set_watched(facts.watched);
  out.set_polled(facts.polled);
}

}  // namespace

void WritePosture(const RecordBatch& batch, v1::EvidenceBatch* out) {
  if (batch.posture) Write(*batch.posture, *out->mutable_posture());
  for (const PostureChangeFacts& change : batch.posture_changes)
    Write(change, *out->add_posture_changes());
}

}  // namespace culprit
