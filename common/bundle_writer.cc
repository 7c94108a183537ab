// SPDX-License-Identifier: Apache-2.0
#include "common/bundle_writer.h"

#include <archive.h>
#include <archive_entry.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <unordered_map>

#include "common/hex.h"

namespace culprit {
namespace {

constexpr int kLevel = 3;
constexpr std::size_t kBlock = std::size_t{64} << 10;
constexpr unsigned kOurMode = 0600;

struct FreeWriter {
  void operator()(archive* a) const { archive_write_free(a); }
  void operator()(archive_entry* e) const { archive_entry_free(e); }
  void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
};

// As `sha256sum` writes names that its reader would stumble over; ours have none of these bytes by
// MemberNameOf().
std::string SumLine(const BundleMember& member) {
  return HexEncode(AsBytes(member.sha256)) + "  " + member.name + "\n";
}

}  // namespace

struct BundleWriter::Impl {
  Impl(Ed25519Key signing, ByteSink to) : key(std::move(signing)), sink(std::move(to)) {}
  ~Impl() { failure = Internal("not closed"); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  static la_ssize_t OnBytes(archive* /*a*/, void* self, const void* data, std::size_t size) {
    auto* impl = static_cast<Impl*>(self);
    impl->Compress({static_cast<const char*>(data), size}, ZSTD_e_continue);
    return static_cast<la_ssize_t>(
        size);  // Check() tells of a failure; libarchive leaks after one of its own
  }

  void Compress(std::string_view bytes, ZSTD_EndDirective how) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    std::size_t left = 1;
    while (failure && (in.pos < in.size || (how == ZSTD_e_end && left != 0))) {
      ZSTD_outBuffer out{block.data(), block.size(), 0};
      left = ZSTD_compressStream2(zstd.get(), &out, &in, how);
      if (ZSTD_isError(left) != 0U) {
        failure = Internal("compress: zstd failed");
      } else if (out.pos > 0) {
        failure = sink({block.data(), out.pos});
      }
    }
  }

  Status Check(int result) {
    if (!failure) return failure;
    if (result < ARCHIVE_WARN) {
      const char* text = archive_error_string(tar.get());
      failure = Internal(std::string("tar: ") + (text == nullptr ? "failed" : text));
    }
    return failure;
  }

  Status Header(const BundleMember& member, std::uint64_t size) {
    const std::unique_ptr<archive_entry, FreeWriter> entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), member.name.c_str());
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
    // Never set-uid and always readable by whoever unpacks it; what the file had is in the
    // manifest.
    archive_entry_set_perm(entry.get(), kOurMode);
    const std::int64_t ns = member.file.present ? member.file.mtime_ns : ToNs(member.started);
    archive_entry_set_mtime(entry.get(), ns / 1'000'000'000, 0);
    return Check(archive_write_header(tar.get(), entry.get()));
  }

  // A file that the manifest does not list: the manifest itself and its signature.
  Status Unlisted(const std::string& name, std::string_view bytes, WallTime when) {
    BundleMember member;
    member.name = name;
    member.started = when;
    TRY_VOID(Header(member, bytes.size()));
    return Check(static_cast<int>(
        std::min<la_ssize_t>(0, archive_write_data(tar.get(), bytes.data(), bytes.size()))));
  }

  void AddLine(ManifestEntry entry) {
    const std::string line = FormatManifestLine({next++, previous, std::move(entry)});
    previous = Sha256Of(line);
    manifest += line;
    manifest += '\n';
  }

  std::string UniqueName(const std::string& name) {
    const unsigned n = names[name]++;
    return n == 0 ? name : name + "~" + std::to_string(n);
  }

  Ed25519Key key;
  ByteSink sink;
  std::unique_ptr<ZSTD_CCtx, FreeWriter> zstd;
  std::array<char, kBlock> block{};
  Status failure = Ok();

  std::string manifest, sums;
  std::size_t tier_from = 0;  // where the lines of this tier begin
  std::uint64_t next = 0;
  Sha256Digest previous{};
  std::unordered_map<std::string, unsigned> names;
  std::uint64_t members = 0, member_bytes = 0, tier_members = 0, tier_bytes = 0;

  BundleMember current;
  std::uint64_t current_left = 0;
  Sha256 current_hash;
  std::unique_ptr<archive, FreeWriter> tar;  // the last: it writes its end when it goes
};

BundleWriter::BundleWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BundleWriter::~BundleWriter() = default;
std::uint64_t BundleWriter::members() const { return impl_->members; }
std::uint64_t BundleWriter::bytes() const { return impl_->member_bytes; }

Result<std::unique_ptr<BundleWriter>> BundleWriter::Open(const BundleHead& head, Ed25519Key key,
                                                         ByteSink sink) {
  auto impl = std::make_unique<Impl>(std::move(key), std::move(sink));
  impl->tar.reset(archive_write_new());
  impl->zstd.reset(ZSTD_createCCtx());
  if (!impl->tar || !impl->zstd) return Internal("no memory");
  ZSTD_CCtx_setParameter(impl->zstd.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(impl->zstd.get(), ZSTD_c_checksumFlag, 1);
  // "restricted" writes the extended headers of pax only where a plain one has no room.
  archive_write_set_format_pax_restricted(impl->tar.get());
  archive_write_set_bytes_per_block(impl->tar.get(), 0);
  TRY_VOID(impl->Check(
      archive_write_open(impl->tar.get(), impl.get(), nullptr, &Impl::OnBytes, nullptr)));
  impl->AddLine(head);
  std::unique_ptr<BundleWriter> writer(new BundleWriter(std::move(impl)));
  BundleMember signers;
  signers.name = "allowed_signers";
  signers.source =
      "the signing key, as ssh-keygen -Y verify wants it; trust it by its fingerprint only";
  signers.started = signers.ended = head.started;
  TRY_VOID(writer->Add(
      signers, "culprit-agent " + SshPublicKeyText(writer->impl_->key.public_key()) + "\n"));
  return writer;
}

Status BundleWriter::Begin(BundleMember member, std::uint64_t size) {
  member.name = impl_->UniqueName(member.name);
  member.size = size;
  TRY_VOID(impl_->Header(member, size));
  impl_->current = std::move(member);
  impl_->current_left = size;
  return Ok();
}

Status BundleWriter::Write(std::string_view bytes) {
  bytes = bytes.substr(0, impl_->current_left);
  if (bytes.empty()) return impl_->failure;
  impl_->current_hash.Update(bytes);
  impl_->current_left -= bytes.size();
  return impl_->Check(static_cast<int>(
      std::min<la_ssize_t>(0, archive_write_data(impl_->tar.get(), bytes.data(), bytes.size()))));
}

Status BundleWriter::End(WallTime ended, bool cut, const std::vector<std::string>& notes) {
  BundleMember& member = impl_->current;
  if (impl_->current_left > 0) {
    member.notes.push_back("the last " + std::to_string(impl_->current_left) +
                           " bytes are zeros in place of what could not be read");
  }
  const std::string zeros(std::min<std::uint64_t>(impl_->current_left, kBlock), '\0');
  while (impl_->current_left > 0) TRY_VOID(Write(zeros));
  member.ended = ended;
  member.cut = cut;
  member.notes.insert(member.notes.end(), notes.begin(), notes.end());
  member.sha256 = impl_->current_hash.Finish();
  impl_->members++;
  impl_->tier_members++;
  impl_->member_bytes += member.size;
  impl_->tier_bytes += member.size;
  impl_->sums += SumLine(member);
  TRY_VOID(impl_->Check(archive_write_finish_entry(impl_->tar.get())));
  impl_->AddLine(std::move(member));
  return impl_->failure;
}

Status BundleWriter::Add(BundleMember member, std::string_view bytes) {
  const WallTime ended = member.ended;
  const bool cut = member.cut;
  TRY_VOID(Begin(std::move(member), bytes.size()));
  TRY_VOID(Write(bytes));
  return End(ended, cut, {});
}

Status BundleWriter::EndTier(TierEnd tier) {
  tier.members = std::exchange(impl_->tier_members, 0);
  tier.bytes = std::exchange(impl_->tier_bytes, 0);
  const WallTime when = tier.ended;
  const std::string name = TierManifestName(tier.tier);
  impl_->AddLine(tier);
  const std::string lines = impl_->manifest.substr(impl_->tier_from);
  impl_->tier_from = impl_->manifest.size();
  TRY(const std::string signature, impl_->key.Sign(kBundleNameSpace, lines));
  BundleMember part;
  part.started = part.ended = when;
  part.name = name;
  part.source = "the manifest so far";
  TRY_VOID(Add(part, lines));
  part.name = name + ".sig";
  part.source = "its signature";
  TRY_VOID(Add(part, signature));
  impl_->tier_members = impl_->tier_bytes = 0;
  impl_->Compress({}, ZSTD_e_end);
  return impl_->failure;
}

Status BundleWriter::Close(BundleEnd end) {
  BundleMember sums;
  sums.name = "SHA256SUMS";
  sums.source = "sha256sum -c SHA256SUMS checks every member before this one";
  sums.started = sums.ended = end.ended;
  TRY_VOID(Add(sums, std::string(impl_->sums)));
  end.members = impl_->members;
  end.bytes = impl_->member_bytes;
  impl_->AddLine(end);
  TRY(const std::string signature, impl_->key.Sign(kBundleNameSpace, impl_->manifest));
  TRY_VOID(impl_->Unlisted(std::string(kManifestName), impl_->manifest, end.ended));
  TRY_VOID(impl_->Unlisted(std::string(kSignatureName), signature, end.ended));
  TRY_VOID(impl_->Check(archive_write_close(impl_->tar.get())));
  impl_->Compress({}, ZSTD_e_end);
  return impl_->failure;
}

}  // namespace culprit
