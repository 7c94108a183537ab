// SPDX-License-Identifier: Apache-2.0
#include "common/bundle_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/bundle_manifest.h"

namespace culprit {
namespace {

constexpr std::size_t kBlock = std::size_t{64} << 10;
constexpr int kWindowLog = 23;
constexpr std::uint64_t kTarHeader = 512;

struct FreeReader {
  void operator()(archive* a) const { archive_read_free(a); }
  void operator()(ZSTD_DCtx* c) const { ZSTD_freeDCtx(c); }
};

}  // namespace

ByteSource SourceOf(int fd) {
  return [fd](std::span<char> buffer) -> Result<std::size_t> {
    ssize_t got = 0;
    do {
      got = read(fd, buffer.data(), buffer.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) return ErrnoError("read the bundle");
    return static_cast<std::size_t>(got);
  };
}

struct BundleReader::Impl {
  Impl(ByteSource from, BundleLimits to) : source(std::move(from)), limits(to) {}

  static la_ssize_t OnRead(archive* a, void* self, const void** data) {
    auto* impl = static_cast<Impl*>(self);
    const std::size_t got = impl->Inflate();
    if (!impl->failure) {
      archive_set_error(a, EIO, "%s", "no more bytes");
      return -1;
    }
    *data = impl->inflated.data();
    impl->last = got;
    impl->given += got;
    return static_cast<la_ssize_t>(got);
  }

  // Fills `input`; false at the end or after an error.
  bool Fill() {
    if (at < filled) return true;
    auto got = source(input);
    if (!got) {
      failure = std::move(got).error();
      return false;
    }
    at = 0;
    filled = *got;
    offset += filled;
    return filled > 0;
  }

  std::size_t Inflate() {
    ZSTD_outBuffer out{inflated.data(), inflated.size(), 0};
    while (failure && out.pos == 0) {
      if (!Fill()) {
        if (failure && in_frame)
          failure = MakeError(Code::kOutOfRange, "the bytes end in the middle of a frame");
        break;
      }
      ZSTD_inBuffer in{input.data(), filled, at};
      const std::size_t hint = ZSTD_decompressStream(zstd.get(), &out, &in);
      at = in.pos;
      if (ZSTD_isError(hint) != 0U)
        failure = DataLoss("not readable as zstd before byte " + std::to_string(offset));
      in_frame = hint != 0;
    }
    return failure ? out.pos : 0;
  }

  Error TarError() {
    if (!failure) return failure.error();
    const char* text = archive_error_string(tar.get());
    const std::string what = text == nullptr ? "damaged" : text;
    // libarchive's words for an end where there should be none; it does not know less than a
    // header.
    const bool truncated = given < kTarHeader || what.find("runcated") != std::string::npos;
    failure = MakeError(truncated ? Code::kOutOfRange : Code::kDataLoss, "tar: " + what);
    return failure.error();
  }

  // Behind the end of the archive there may be zeros, and nothing else: neither in the block that
  // libarchive has, nor after it.
  Status Ended() {
    const auto used = static_cast<std::uint64_t>(archive_filter_bytes(tar.get(), 0));
    std::size_t got = last;
    std::size_t from = last - std::min<std::uint64_t>(last, given - std::min(given, used));
    while (failure && got > 0) {
      const auto begin = inflated.begin() + static_cast<std::ptrdiff_t>(from);
      const auto end = inflated.begin() + static_cast<std::ptrdiff_t>(got);
      if (std::any_of(begin, end, [](char c) { return c != 0; }))
        failure = MakeError(Code::kFailedPrecondition, "bytes behind the end of the archive");
      else
        got = Inflate();
      from = 0;
    }
    return failure;
  }

  ByteSource source;
  BundleLimits limits;
  std::unique_ptr<archive, FreeReader> tar;
  std::unique_ptr<ZSTD_DCtx, FreeReader> zstd;
  std::array<char, kBlock> input{}, inflated{};
  std::size_t at = 0, filled = 0, last = 0;
  std::uint64_t offset = 0, given = 0, members = 0, bytes = 0;
  bool in_frame = false, opened = false;
  Status failure = Ok();
};

BundleReader::BundleReader(ByteSource source, BundleLimits limits)
    : impl_(std::make_unique<Impl>(std::move(source), limits)) {}
BundleReader::~BundleReader() = default;
std::uint64_t BundleReader::offset() const { return impl_->offset; }

Result<std::optional<BundleReader::Member>> BundleReader::Next() {
  Impl& impl = *impl_;
  TRY_VOID(impl.failure);
  if (!impl.opened) {
    impl.opened = true;
    impl.tar.reset(archive_read_new());
    impl.zstd.reset(ZSTD_createDCtx());
    if (!impl.tar || !impl.zstd) return Internal("no memory");
    ZSTD_DCtx_setParameter(impl.zstd.get(), ZSTD_d_windowLogMax, kWindowLog);
    archive_read_support_format_tar(impl.tar.get());
    if (archive_read_open(impl.tar.get(), &impl, nullptr, &Impl::OnRead, nullptr) < ARCHIVE_WARN)
      return impl.TarError();
  }
  archive_entry* entry = nullptr;
  const int result = archive_read_next_header(impl.tar.get(), &entry);
  if (result == ARCHIVE_EOF) {
    TRY_VOID(impl.Ended());
    return std::optional<Member>();
  }
  if (result != ARCHIVE_OK) return impl.TarError();
  const char* name = archive_entry_pathname(entry);
  const la_int64_t size = archive_entry_size(entry);
  const bool plain = archive_entry_filetype(entry) == AE_IFREG &&
                     archive_entry_hardlink(entry) == nullptr &&
                     archive_entry_sparse_count(entry) == 0;
  if (name == nullptr || *name == '\0' || std::string_view(name).size() > kMaxMemberName ||
      size < 0 || !plain)
    return DataLoss("a member that is not a plain file, or has no proper name");
  impl.bytes += static_cast<std::uint64_t>(size);
  if (++impl.members > impl.limits.members || impl.bytes > impl.limits.bytes)
    return MakeError(Code::kResourceExhausted, "more in it than a bundle may have");
  return std::optional<Member>(Member{name, static_cast<std::uint64_t>(size)});
}

Result<std::size_t> BundleReader::Read(std::span<char> buffer) {
  TRY_VOID(impl_->failure);
  const la_ssize_t got = archive_read_data(impl_->tar.get(), buffer.data(), buffer.size());
  if (got < 0) return impl_->TarError();
  return static_cast<std::size_t>(got);
}

Result<std::string> BundleReader::ReadUpTo(std::size_t most) {
  constexpr std::size_t kChunk = std::size_t{64} << 10;
  std::string bytes;
  for (std::size_t had = 0; had < most;) {
    bytes.resize(std::min(most, had + kChunk));
    TRY(const std::size_t got, Read(std::span(bytes).subspan(had)));
    had += got;
    bytes.resize(had);
    if (got == 0) break;
  }
  return bytes;
}

}  // namespace culprit
