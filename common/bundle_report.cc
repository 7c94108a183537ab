// SPDX-License-Identifier: Apache-2.0
#include "common/bundle_report.h"

#include <nlohmann/json.hpp>

#include "common/file.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxKeyFile = std::size_t{1} << 20;

Result<TrustedSigner> SignerOf(const std::string& key) {
  TrustedSigner signer;
  if (key.starts_with("SHA256:")) {
    signer.fingerprint = key;
  } else if (!key.empty()) {
    auto text = ReadWholeFile(key, kMaxKeyFile);
    if (!text) return InvalidArgument("--key: " + text.error().message);
    auto parsed = ParseSshPublicKey(*text);
    if (!parsed) return InvalidArgument("--key: " + key + ": " + parsed.error().message);
    signer.key = *parsed;
  }
  return signer;
}

std::string Tiers(const BundleVerdict& verdict) {
  std::string text;
  for (const TierEnd& tier : verdict.tiers)
    text += (text.empty() ? "" : ", ") + std::to_string(tier.tier);
  return text.empty() ? "none" : text;
}

}  // namespace

std::string VerdictText(const BundleVerdict& verdict, const std::string& path) {
  std::string text = EscapeText(path) + ": ";
  text += !verdict.good()   ? "NOT GOOD"
          : verdict.trusted ? "good: whole, in order, unchanged, signed by the key given"
                            : "whole, in order, unchanged since it was signed; whose key that is "
                              "was not asked (--key)";
  text += "\n";
  for (const BundleFinding& finding : verdict.findings)
    text += "  " + std::string(DefectName(finding.defect)) + ": " + EscapeText(finding.what) + "\n";
  if (verdict.head) {
    text += "  of        " + EscapeText(verdict.head->instance_id) + " (" +
            EscapeText(verdict.head->hostname) + "), " + FormatUtc(verdict.head->started) +
            ", by " + EscapeText(verdict.head->tool) + "\n";
    text += "  snapshot  " + EscapeText(verdict.head->snapshot_id) + "\n";
  }
  text += "  read      " + std::to_string(verdict.members) + " members, " +
          FormatByteSize(verdict.bytes) + "\n";
  text += "  tiers     whole and signed: " + Tiers(verdict) + "\n";
  if (verdict.end)
    text += "  left out  " + std::to_string(verdict.end->skipped) +
            ", with reasons in errors-tier*.jsonl; " + std::to_string(verdict.cut_members) +
            " members cut at a limit\n";
  if (verdict.key) text += "  key       " + SshFingerprint(*verdict.key) + "\n";
  return text;
}

std::string VerdictJson(const BundleVerdict& verdict, const std::string& path) {
  nlohmann::ordered_json json;
  json["file"] = EscapeText(path);
  json["good"] = verdict.good();
  json["trusted"] = verdict.trusted;
  auto& findings = json["findings"] = nlohmann::ordered_json::array();
  for (const BundleFinding& finding : verdict.findings)
    findings.push_back({{"defect", DefectName(finding.defect)}, {"what", finding.what}});
  auto& tiers = json["whole_tiers"] = nlohmann::ordered_json::array();
  for (const TierEnd& tier : verdict.tiers) tiers.push_back(tier.tier);
  if (verdict.head) {
    json["snapshot"] = verdict.head->snapshot_id;
    json["instance"] = verdict.head->instance_id;
    json["hostname"] = verdict.head->hostname;
    json["started"] = FormatUtc(verdict.head->started);
    json["tool"] = verdict.head->tool;
    json["trigger"] = verdict.head->trigger;
    json["case"] = verdict.head->case_id;
  }
  json["members"] = verdict.members;
  json["cut_members"] = verdict.cut_members;
  json["bytes"] = verdict.bytes;
  if (verdict.end) json["skipped"] = verdict.end->skipped;
  if (verdict.key) json["key_fingerprint"] = SshFingerprint(*verdict.key);
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<BundleReport> VerifyBundleFile(const std::string& path, const std::string& key, bool json) {
  TRY(const TrustedSigner signer, SignerOf(key));
  TRY(const UniqueFd fd, OpenReadOnly(path));
  TRY(const BundleVerdict verdict, VerifyBundle(SourceOf(fd.get()), signer));
  return BundleReport{verdict.good(),
                      json ? VerdictJson(verdict, path) : VerdictText(verdict, path)};
}

}  // namespace culprit
