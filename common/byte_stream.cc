// SPDX-License-Identifier: Apache-2.0
#include "common/byte_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr std::size_t kFirstWindowBytes = 64U << 10;
constexpr std::size_t kPackedBytes = 64U << 10;  // read at once of a packed file
constexpr int kMaxZstdWindowLog = 27;
constexpr std::size_t kMagicBytes = 6;

class MemoryStream : public ByteStream {
 public:
  explicit MemoryStream(std::string_view bytes) : rest_(bytes) {}
  std::size_t Read(char* to, std::size_t size) override {
    const std::size_t taken = rest_.copy(to, size);
    rest_.remove_prefix(taken);
    return taken;
  }

 private:
  std::string_view rest_;
};

class FileStream : public ByteStream {
 public:
  FileStream(UniqueFd owned, int fd, std::string path)
      : owned_(std::move(owned)), fd_(fd), path_(std::move(path)) {}
  std::size_t Read(char* to, std::size_t size) override {
    while (true) {
      const ssize_t taken = read(fd_, to, size);
      if (taken >= 0) return static_cast<std::size_t>(taken);
      if (errno == EINTR) continue;
      failed_ = ErrnoError("cannot read " + path_);
      return 0;
    }
  }

 private:
  UniqueFd owned_;
  int fd_;
  std::string path_;
};

// The first bytes of a stream again, and then its rest.
class PrefixedStream : public ByteStream {
 public:
  PrefixedStream(std::string prefix, std::unique_ptr<ByteStream> rest)
      : prefix_(std::move(prefix)), rest_(std::move(rest)) {}
  std::size_t Read(char* to, std::size_t size) override {
    if (taken_ < prefix_.size()) {
      const std::size_t n = prefix_.copy(to, size, taken_);
      taken_ += n;
      return n;
    }
    const std::size_t n = rest_->Read(to, size);
    if (n == 0) failed_ = rest_->failed();
    return n;
  }

 private:
  std::string prefix_;
  std::size_t taken_ = 0;
  std::unique_ptr<ByteStream> rest_;
};

// What both ways of unpacking share: packed bytes are fetched as they are used up.
class UnpackingStream : public ByteStream {
 public:
  explicit UnpackingStream(std::unique_ptr<ByteStream> packed) : packed_(std::move(packed)) {}

 protected:
  // False: nothing is left, or reading failed.
  bool Fetch() {
    const std::size_t n = packed_->Read(buffer_.data(), buffer_.size());
    rest_ = {buffer_.data(), n};
    if (n == 0) failed_ = packed_->failed();
    return n > 0;
  }
  void Fail(std::string reason) { failed_ = DataLoss(std::move(reason)); }

  std::string_view rest_;  // fetched and not unpacked yet

 private:
  std::unique_ptr<ByteStream> packed_;
  std::string buffer_ = std::string(kPackedBytes, '\0');
};

class GzipStream : public UnpackingStream {
 public:
  explicit GzipStream(std::unique_ptr<ByteStream> packed) : UnpackingStream(std::move(packed)) {
    constexpr int kGzipOnly = 16;
    ready_ = inflateInit2(&state_, MAX_WBITS + kGzipOnly) == Z_OK;
  }
  ~GzipStream() override {
    if (ready_) inflateEnd(&state_);
  }
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;

  std::size_t Read(char* to, std::size_t size) override {
    if (!ready_) Fail("no memory to unpack gzip");
    while (!failed_ && !done_) {
      // A full output leaves bytes inside zlib, which need no more input.
      if (rest_.empty() && !pending_ && !Fetch()) {
        if (!failed_ && inside_) Fail("the gzip data are cut off");
        break;
      }
      // Members may follow each other; what else follows one is padding or is not ours.
      if (!inside_ && !StartMember()) break;
      const std::size_t written = Inflate(to, size);
      if (written > 0) return written;
    }
    return 0;
  }

 private:
  bool StartMember() {
    if (first_ || rest_.front() == '\x1f') {
      first_ = false;
      inside_ = true;
      return true;
    }
    done_ = true;
    if (rest_.find_first_not_of('\0') != std::string_view::npos) {
      Fail("something that is not gzip follows the gzip data");
    }
    return false;
  }
  std::size_t Inflate(char* to, std::size_t size) {
    // zlib takes no const input, and does not write to it.
    state_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(rest_.data()));
    state_.avail_in = static_cast<uInt>(rest_.size());
    state_.next_out = reinterpret_cast<Bytef*>(to);
    state_.avail_out = static_cast<uInt>(std::min<std::size_t>(size, 1U << 30));
    const uInt room = state_.avail_out;
    const int result = inflate(&state_, Z_NO_FLUSH);
    rest_.remove_prefix(rest_.size() - state_.avail_in);
    if (result == Z_STREAM_END) {
      inside_ = false;
      inflateReset(&state_);
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      Fail("the gzip data are damaged");
    }
    pending_ = inside_ && state_.avail_out == 0;
    return room - state_.avail_out;
  }

  z_stream state_{};
  bool ready_ = false, first_ = true, inside_ = false, pending_ = false, done_ = false;
};

class ZstdStream : public UnpackingStream {
 public:
  explicit ZstdStream(std::unique_ptr<ByteStream> packed)
      : UnpackingStream(std::move(packed)), state_(ZSTD_createDStream()) {
    if (state_) ZSTD_DCtx_setParameter(state_.get(), ZSTD_d_windowLogMax, kMaxZstdWindowLog);
  }

  std::size_t Read(char* to, std::size_t size) override {
    if (!state_) Fail("no memory to unpack zstd");
    while (!failed_) {
      // A full output leaves bytes inside the decoder, which need no more input.
      if (rest_.empty() && !pending_ && !Fetch()) {
        if (!failed_ && inside_) Fail("the zstd data are cut off");
        break;
      }
      ZSTD_inBuffer in{rest_.data(), rest_.size(), 0};
      ZSTD_outBuffer out{to, size, 0};
      const std::size_t result = ZSTD_decompressStream(state_.get(), &out, &in);
      rest_.remove_prefix(in.pos);
      if (ZSTD_isError(result) != 0) {
        Fail(std::string("the zstd data are damaged (") + ZSTD_getErrorName(result) + ")");
      } else {
        inside_ = result != 0;
        pending_ = inside_ && out.pos == out.size;
      }
      if (out.pos > 0) return out.pos;
    }
    return 0;
  }

 private:
  struct Free {
    void operator()(ZSTD_DStream* state) const { ZSTD_freeDStream(state); }
  };
  std::unique_ptr<ZSTD_DStream, Free> state_;
  bool inside_ = false, pending_ = false;
};

bool IsZstd(std::string_view magic) {
  using std::string_view_literals::operator""sv;
  // A frame, or a frame to be skipped (the first byte of which varies in its low half).
  return magic.starts_with("\x28\xb5\x2f\xfd"sv) ||
         (magic.size() >= 4 && (magic[0] & 0xf0) == 0x50 && magic.substr(1, 3) == "\x2a\x4d\x18"sv);
}

// Packed in a way that is not read: what it is, and what unpacks it.
Status CheckReadable(std::string_view magic) {
  using std::string_view_literals::operator""sv;
  struct Other {
    std::string_view magic, name, tool;
  };
  constexpr std::array<Other, 6> kOthers = {{
      {"\xfd\x37zXZ\0"sv, "xz data", "xz -dk"},
      {"BZh"sv, "bzip2 data", "bzip2 -dk"},
      {"\x04\x22\x4d\x18"sv, "lz4 data", "lz4 -d"},
      {"PK\x03\x04"sv, "a zip archive", "unzip"},
      {"7z\xbc\xaf\x27\x1c"sv, "a 7-Zip archive", "7z x"},
      {"\x1f\x9d"sv, "compress data", "gzip -d"},
  }};
  for (const Other& other : kOthers) {
    if (!magic.starts_with(other.magic)) continue;
    return InvalidArgument(std::string(other.name) + ": only gzip and zstd are unpacked; `" +
                           std::string(other.tool) + "` does it");
  }
  return Ok();
}

}  // namespace

std::unique_ptr<ByteStream> OpenMemoryStream(std::string_view bytes) {
  return std::make_unique<MemoryStream>(bytes);
}

Result<std::unique_ptr<ByteStream>> OpenFileStream(const std::string& path) {
  if (path == "-") {
    return {std::make_unique<FileStream>(UniqueFd(), STDIN_FILENO, "the standard input")};
  }
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return ErrnoError("cannot open " + path);
  struct stat about {};
  if (fstat(fd.get(), &about) != 0) return ErrnoError("cannot open " + path);
  if (S_ISDIR(about.st_mode)) return InvalidArgument(path + " is a directory");
  const int raw = fd.get();
  return {std::make_unique<FileStream>(std::move(fd), raw, path)};
}

std::string_view PackingName(Packing packing) {
  switch (packing) {
    case Packing::kGzip:
      return "gzip";
    case Packing::kZstd:
      return "zstd";
    case Packing::kNone:
      break;
  }
  return "";
}

Result<ByteWindow> ByteWindow::Open(std::unique_ptr<ByteStream> stream) {
  std::string magic(kMagicBytes, '\0');
  std::size_t got = 0;
  while (got < magic.size()) {
    const std::size_t n = stream->Read(magic.data() + got, magic.size() - got);
    if (n == 0) break;
    got += n;
  }
  if (stream->failed()) return Error(*stream->failed());
  magic.resize(got);
  TRY_VOID(CheckReadable(magic));
  const Packing packing = magic.starts_with("\x1f\x8b") ? Packing::kGzip
                          : IsZstd(magic)               ? Packing::kZstd
                                                        : Packing::kNone;
  stream = std::make_unique<PrefixedStream>(std::move(magic), std::move(stream));
  if (packing == Packing::kGzip) stream = std::make_unique<GzipStream>(std::move(stream));
  if (packing == Packing::kZstd) stream = std::make_unique<ZstdStream>(std::move(stream));
  ByteWindow window(std::move(stream));
  window.packing_ = packing;
  return window;
}

void ByteWindow::Fill(std::size_t size) {
  const std::size_t kept = filled_ - position_;
  if (kept == 0 || capacity_ - position_ < size) {
    // Larger while the file fills it. Room for twice what is asked for: each byte is moved seldom.
    const std::size_t grown = filled_ == capacity_ ? 4 * capacity_ : capacity_;
    const std::size_t capacity =
        std::max({capacity_, std::clamp(grown, kFirstWindowBytes, kWindowBytes), 2 * size});
    if (capacity > capacity_) {
      std::unique_ptr<char[]> larger(new char[capacity]);  // not zeroed, unlike make_unique's
      if (kept > 0) std::memcpy(larger.get(), buffer_.get() + position_, kept);
      buffer_ = std::move(larger);
      capacity_ = capacity;
    } else if (kept > 0) {
      std::memmove(buffer_.get(), buffer_.get() + position_, kept);
    }
    base_ += position_;
    position_ = 0;
    filled_ = kept;
  }
  while (filled_ - position_ < size && !ended_) {
    const std::size_t n = stream_->Read(buffer_.get() + filled_, capacity_ - filled_);
    if (n == 0) ended_ = true;
    filled_ += n;
  }
}

}  // namespace culprit
