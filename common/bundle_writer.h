// SPDX-License-Identifier: Apache-2.0
// BundleWriter: a snapshot bundle as a stream: members of a tar file in zstd, tier by tier, each
// tier a zstd frame of its own with its part of the manifest signed, so that what arrived of a
// stream that broke off can be read and checked.
//
// Stage: common; the edge is the sink. Thread: one caller. Memory: some buffers, never a member.
// Failure: once the sink fails, every further call fails; what was written until then stays a
// readable beginning.
#ifndef CULPRIT_COMMON_BUNDLE_WRITER_H_
#define CULPRIT_COMMON_BUNDLE_WRITER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/bundle_manifest.h"
#include "common/result.h"
#include "common/ssh_signature.h"

namespace culprit {

using ByteSink = std::function<Status(std::string_view)>;

class BundleWriter {
 public:
  static Result<std::unique_ptr<BundleWriter>> Open(const BundleHead& head, Ed25519Key key,
                                                    ByteSink sink);
  ~BundleWriter();

  // A member in one piece. `member` needs name, source and times; size and hash are filled in. A
  // name that is there already gets a number behind it.
  Status Add(BundleMember member, std::string_view bytes);
  // A member in pieces: its size is said before. Bytes beyond it are dropped; what is missing at
  // the end is written as zeros and noted.
  Status Begin(BundleMember member, std::uint64_t size);
  Status Write(std::string_view bytes);
  Status End(WallTime ended, bool cut, const std::vector<std::string>& notes);

  // Ends the frame, with the signed manifest of the tier. `tier.members` and `tier.bytes` are
  // filled in.
  Status EndTier(TierEnd tier);
  // SHA256SUMS, the whole manifest, its signature. Nothing can be added afterwards.
  Status Close(BundleEnd end);

  std::uint64_t members() const;
  std::uint64_t bytes() const;  // of members

 private:
  struct Impl;
  explicit BundleWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace culprit

#endif  // CULPRIT_COMMON_BUNDLE_WRITER_H_
