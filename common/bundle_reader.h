// SPDX-License-Identifier: Apache-2.0
// BundleReader: the members of a snapshot bundle, one after the other, from bytes that anybody may
// have written.
//
// Stage: common; the edge is the source. Thread: one caller. Memory: the window of zstd (at most 8
// MiB) and what libarchive needs for a header. Total on any bytes.
#ifndef CULPRIT_COMMON_BUNDLE_READER_H_
#define CULPRIT_COMMON_BUNDLE_READER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "common/result.h"

namespace culprit {

// The next bytes into the buffer; 0: the end.
using ByteSource = std::function<Result<std::size_t>(std::span<char>)>;
// A file, read from its beginning. The descriptor must outlive it.
ByteSource SourceOf(int fd);

struct BundleLimits {
  std::uint64_t members = 2'000'000;
  std::uint64_t bytes = std::uint64_t{64} << 30;  // of all members
};

class BundleReader {
 public:
  struct Member {
    std::string name;
    std::uint64_t size = 0;
  };

  explicit BundleReader(ByteSource source, BundleLimits limits = {});
  ~BundleReader();

  // The next member; nullopt: the archive ended as it should. What the caller did not read of the
  // one before is passed over. Errors: kOutOfRange (the bytes end in the middle), kDataLoss
  // (damaged, or not what a bundle is made of), kResourceExhausted (over a limit),
  // kFailedPrecondition (bytes behind the end), or the source's own.
  Result<std::optional<Member>> Next();
  // The next bytes of the member; 0: its end. Errors: as above.
  Result<std::size_t> Read(std::span<char> buffer);
  // As much of it as there is, and at most so many bytes.
  Result<std::string> ReadUpTo(std::size_t most);
  // Compressed bytes taken from the source.
  std::uint64_t offset() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace culprit

#endif  // CULPRIT_COMMON_BUNDLE_READER_H_
