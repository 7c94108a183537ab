// SPDX-License-Identifier: Apache-2.0
#include "common/bundle_verify.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "common/text.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxFindings = 100;
constexpr std::size_t kChunk = std::size_t{64} << 10;
constexpr std::size_t kMaxSignature = std::size_t{16} << 10;

struct SeenMember {
  std::string name;
  std::uint64_t size = 0;
  Sha256Digest sha256{};
};

bool IsTierManifest(std::string_view name) {
  return name.starts_with("manifest-tier") && name.ends_with(".jsonl");
}
bool IsManifest(std::string_view name) { return name == kManifestName || IsTierManifest(name); }
bool IsSignature(std::string_view name) {
  return name.ends_with(".sig") && IsManifest(name.substr(0, name.size() - 4));
}

class Verifier {
 public:
  Verifier(ByteSource source, const TrustedSigner& trusted, const BundleLimits& limits)
      : reader_(std::move(source), limits), trusted_(trusted) {}

  Result<BundleVerdict> Run() {
    while (true) {
      auto next = reader_.Next();
      if (!next) {
        TRY_VOID(Broken(next.error()));
        break;
      }
      if (!*next) {
        if (!verdict_.end)
          Find(BundleDefect::kTruncated, "the archive ends without the whole manifest");
        break;
      }
      if (done_) Find(BundleDefect::kAdded, "behind the manifest: " + EscapeText((*next)->name));
      if (auto read = ReadMember(**next); !read) {
        TRY_VOID(Broken(read.error()));
        break;
      }
    }
    verdict_.trusted = verdict_.trusted && verdict_.good();
    return std::move(verdict_);
  }

 private:
  void Find(BundleDefect defect, std::string what) {
    if (verdict_.findings.size() < kMaxFindings)
      verdict_.findings.push_back({defect, std::move(what)});
  }

  std::string WholeSoFar() const {
    if (verdict_.tiers.empty()) return "; no tier is whole";
    return "; whole and signed: tiers 0 to " + std::to_string(verdict_.tiers.back().tier);
  }

  // An error of the reader as a finding; one of the source as itself.
  Status Broken(const Error& error) {
    switch (error.code) {
      case Code::kOutOfRange:
        Find(BundleDefect::kTruncated, error.message + WholeSoFar());
        return Ok();
      case Code::kDataLoss:
      case Code::kResourceExhausted:
        Find(BundleDefect::kDamaged, error.message + WholeSoFar());
        return Ok();
      case Code::kFailedPrecondition:
        Find(BundleDefect::kAdded, error.message);
        return Ok();
      default:
        return error;
    }
  }

  Status ReadMember(const BundleReader::Member& member) {
    const bool manifest = IsManifest(member.name), signature = IsSignature(member.name);
    const std::size_t keep = manifest ? kMaxManifestBytes : signature ? kMaxSignature : 0;
    std::string kept;
    std::array<char, kChunk> buffer{};
    SeenMember seen{member.name, 0, {}};
    Sha256 hash;
    while (true) {
      TRY(const std::size_t got, reader_.Read(buffer));
      if (got == 0) break;
      hash.Update({buffer.data(), got});
      seen.size += got;
      kept.append(buffer.data(), std::min(got, keep - std::min(keep, kept.size())));
    }
    seen.sha256 = hash.Finish();
    if (seen.size != member.size)
      Find(BundleDefect::kDamaged, EscapeText(member.name) + ": shorter than its header says");
    ++verdict_.members;
    verdict_.bytes += seen.size;
    if (manifest) pending_ = std::move(kept);
    if (signature) Signed(member.name.substr(0, member.name.size() - 4), kept);
    if (member.name != kManifestName && member.name != kSignatureName)
      seen_.push_back(std::move(seen));
    return Ok();
  }

  void Signed(const std::string& of, const std::string& signature) {
    const std::string manifest = std::exchange(pending_, std::string());
    const bool whole = of == kManifestName;
    done_ |= whole;
    if (whole) {
      ManifestChain chain;
      Whole(Lines(manifest, &chain, of));
    }
    const bool fits = CheckSignature(of, manifest, signature);
    if (!whole && fits) {
      const std::size_t from = tier_members_.size();
      Tier(Lines(manifest, &tier_chain_, of), from);
    }
  }

  bool CheckSignature(const std::string& of, const std::string& manifest,
                      const std::string& armoured) {
    const auto signature = ParseSshSignature(armoured);
    if (!signature) {
      Find(BundleDefect::kBadSignature, of + ": " + signature.error().message);
      return false;
    }
    if (signature->name_space != kBundleNameSpace || !SignatureFits(*signature, manifest)) {
      Find(BundleDefect::kBadSignature,
           of + ": the signature is not one of this manifest: it was edited, or signed anew");
      return false;
    }
    if (verdict_.key && *verdict_.key != signature->key) {
      Find(BundleDefect::kWrongKey, of + ": signed by another key than what came before");
      return false;
    }
    verdict_.key = signature->key;
    const std::string fingerprint = SshFingerprint(signature->key);
    const bool given = trusted_.key || !trusted_.fingerprint.empty();
    const bool is_it = (!trusted_.key || *trusted_.key == signature->key) &&
                       (trusted_.fingerprint.empty() || trusted_.fingerprint == fingerprint);
    if (!is_it)
      Find(BundleDefect::kWrongKey,
           of + ": signed by " + fingerprint + ", which is not the trusted key");
    verdict_.trusted = given && is_it;
    return is_it;
  }

  // The entries of a manifest, as far as its chain holds.
  std::vector<ManifestEntry> Lines(std::string_view text, ManifestChain* chain,
                                   const std::string& of) {
    std::vector<ManifestEntry> entries;
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      auto line = end == std::string_view::npos
                      ? Result<ManifestLine>(DataLoss("a line without an end"))
                      : chain->Next(text.substr(0, end));
      if (!line) {
        Find(BundleDefect::kEdited, of + ": " + line.error().message);
        break;
      }
      text.remove_prefix(end + 1);
      entries.push_back(std::move(line->entry));
    }
    return entries;
  }

  void Tier(const std::vector<ManifestEntry>& entries, std::size_t from) {
    const std::size_t before = verdict_.findings.size();
    const TierEnd* end = nullptr;
    for (const ManifestEntry& entry : entries) {
      if (const auto* head = std::get_if<BundleHead>(&entry)) verdict_.head = *head;
      if (const auto* member = std::get_if<BundleMember>(&entry)) tier_members_.push_back(*member);
      end = std::get_if<TierEnd>(&entry);
    }
    // The manifest of the tier and its signature are told in the lines of the next.
    const std::size_t count = std::min(seen_.size(), tier_members_.size());
    for (std::size_t i = from; i < count; ++i) {
      if (tier_members_[i].name == seen_[i].name)
        CompareOne(tier_members_[i], seen_[i]);
      else
        Misplaced(tier_members_[i], seen_[i]);
    }
    if (end != nullptr && tier_members_.size() <= seen_.size() &&
        verdict_.findings.size() == before)
      verdict_.tiers.push_back(*end);
  }

  void Whole(const std::vector<ManifestEntry>& entries) {
    std::vector<BundleMember> listed;
    for (const ManifestEntry& entry : entries) {
      if (const auto* head = std::get_if<BundleHead>(&entry)) verdict_.head = *head;
      if (const auto* member = std::get_if<BundleMember>(&entry)) listed.push_back(*member);
      if (const auto* end = std::get_if<BundleEnd>(&entry)) verdict_.end = *end;
    }
    if (!verdict_.end) Find(BundleDefect::kTruncated, "the manifest has no end");
    for (const BundleMember& member : listed) verdict_.cut_members += member.cut ? 1 : 0;
    // What each tier was found to have is told again, by the whole.
    std::erase_if(verdict_.findings, [](const BundleFinding& f) {
      return f.defect == BundleDefect::kReordered || f.defect == BundleDefect::kMissing ||
             f.defect == BundleDefect::kAdded;
    });
    Compare(listed);
  }

  using Index = std::unordered_map<std::string_view, std::size_t>;

  void Compare(const std::vector<BundleMember>& listed) {
    Index seen, known;
    for (std::size_t i = 0; i < seen_.size(); ++i) {
      if (!seen.emplace(seen_[i].name, i).second)
        Find(BundleDefect::kAdded, EscapeText(seen_[i].name) + ": twice");
    }
    std::vector<const BundleMember*> here;
    for (const BundleMember& member : listed) {
      known.emplace(member.name, 0);
      const auto it = seen.find(member.name);
      if (it == seen.end()) {
        Find(BundleDefect::kMissing,
             EscapeText(member.name) + ": in the manifest, and not in the archive");
        continue;
      }
      CompareOne(member, seen_[it->second]);
      here.push_back(&member);
    }
    std::size_t place = 0;
    bool in_order = true;
    for (std::size_t i = 0; i < seen_.size(); ++i) {
      const std::string& name = seen_[i].name;
      if (known.find(name) == known.end()) {
        Find(BundleDefect::kAdded, EscapeText(name) + ": in the archive, and not in the manifest");
      } else if (in_order && seen.at(name) == i) {
        in_order = here[place]->name == name;
        if (!in_order) Misplaced(*here[place], seen_[i]);
        ++place;
      }
    }
  }

  void Misplaced(const BundleMember& listed, const SeenMember& seen) {
    Find(BundleDefect::kReordered,
         EscapeText(listed.name) + ": in its place stands " + EscapeText(seen.name));
  }

  void CompareOne(const BundleMember& listed, const SeenMember& seen) {
    if (listed.size == seen.size && listed.sha256 == seen.sha256) return;
    std::string what = EscapeText(listed.name) + ": its content is not what was collected";
    const bool told = std::any_of(verdict_.findings.begin(), verdict_.findings.end(),
                                  [&](const BundleFinding& f) { return f.what == what; });
    if (!told) Find(BundleDefect::kEdited, std::move(what));
  }

  BundleReader reader_;
  TrustedSigner trusted_;
  BundleVerdict verdict_;
  std::vector<SeenMember> seen_;
  std::vector<BundleMember> tier_members_;
  ManifestChain tier_chain_;
  std::string pending_;
  bool done_ = false;
};

}  // namespace

std::string_view DefectName(BundleDefect defect) {
  switch (defect) {
    case BundleDefect::kTruncated:
      return "truncated";
    case BundleDefect::kDamaged:
      return "damaged";
    case BundleDefect::kEdited:
      return "edited";
    case BundleDefect::kReordered:
      return "reordered";
    case BundleDefect::kMissing:
      return "missing";
    case BundleDefect::kAdded:
      return "added";
    case BundleDefect::kBadSignature:
      return "bad-signature";
    case BundleDefect::kWrongKey:
      return "wrong-key";
  }
  return "unknown";
}

Result<BundleVerdict> VerifyBundle(ByteSource source, const TrustedSigner& trusted,
                                   const BundleLimits& limits) {
  return Verifier(std::move(source), trusted, limits).Run();
}

}  // namespace culprit
