// SPDX-License-Identifier: Apache-2.0
// Bytes in order from a file, a pipe or memory, plain or unpacked from gzip or zstd on the way.
// What it is packed with is told by its first bytes, never by its name. Stage: any. Thread: one
// owner. Memory: a window of kWindowBytes, more only where a caller asks to see more at once;
// unpacking is bounded by the window of the format (zstd: 128 MiB at most). Failure: bytes before
// the damage are delivered; then the stream ends and says why.
#ifndef CULPRIT_COMMON_BYTE_STREAM_H_
#define CULPRIT_COMMON_BYTE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"

namespace culprit {

// Where bytes come from.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Up to `size` bytes; 0 = the end, or failed().
  virtual std::size_t Read(char* to, std::size_t size) = 0;
  // Why the stream ended early.
  const std::optional<Error>& failed() const { return failed_; }

 protected:
  std::optional<Error> failed_;
};

// `bytes` must outlive the stream.
std::unique_ptr<ByteStream> OpenMemoryStream(std::string_view bytes);
// "-" is the standard input. Errors: it cannot be opened, or is a directory.
Result<std::unique_ptr<ByteStream>> OpenFileStream(const std::string& path);

enum class Packing : std::uint8_t { kNone = 0, kGzip = 1, kZstd = 2 };
std::string_view PackingName(Packing packing);  // "", "gzip", "zstd"

// A window that moves over a stream, which it unpacks.
class ByteWindow {
 public:
  // Errors: packed in a way that is not read (names the tool that unpacks it), reading failed.
  static Result<ByteWindow> Open(std::unique_ptr<ByteStream> stream);

  // What is ahead: at least `size` bytes unless the stream ends before. Valid until the next call.
  std::string_view Ahead(std::size_t size) {
    if (filled_ - position_ < size && !ended_) Fill(size);
    return {buffer_.get() + position_, filled_ - position_};
  }
  // `size` is at most what Ahead() returned.
  void Skip(std::size_t size) { position_ += size; }
  // Of the front of Ahead(), in unpacked bytes.
  std::uint64_t offset() const { return base_ + position_; }
  // Nothing follows what Ahead() returned.
  bool ended() const { return ended_; }
  Packing packing() const { return packing_; }
  // Why the stream ended early.
  const std::optional<Error>& failed() const { return stream_->failed(); }

 private:
  explicit ByteWindow(std::unique_ptr<ByteStream> stream) : stream_(std::move(stream)) {}
  void Fill(std::size_t size);

  std::unique_ptr<ByteStream> stream_;
  Packing packing_ = Packing::kNone;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t position_ = 0, filled_ = 0;
  std::uint64_t base_ = 0;  // offset of buffer_[0]
  bool ended_ = false;
};

inline constexpr std::size_t kWindowBytes = 1U << 20;

}  // namespace culprit

#endif  // CULPRIT_COMMON_BYTE_STREAM_H_
