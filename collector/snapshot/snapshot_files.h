// SPDX-License-Identifier: Apache-2.0
// SnapshotFiles: bundles and their records on the collector's disk.
//
//   DIR/ID.json            the record (culprit.v1.Snapshot), replaced atomically
//   DIR/ID.part            a bundle that arrives
//   DIR/SHA256.tar.zst     a bundle of which nothing more comes, under the hash of its bytes
//
// Stage: snapshot (edge: files). Thread: any; callers keep two from writing one snapshot. Failure:
// errors name the path; a full disk is kResourceExhausted.
#ifndef CULPRIT_COLLECTOR_SNAPSHOT_SNAPSHOT_FILES_H_
#define CULPRIT_COLLECTOR_SNAPSHOT_SNAPSHOT_FILES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "culprit/v1/snapshot.pb.h"

namespace culprit {

class SnapshotFiles {
 public:
  static Result<SnapshotFiles> Open(std::string directory);

  // All records; one that cannot be read is logged, and its bundle is left alone.
  Result<std::vector<v1::Snapshot>> Load() const;
  Status Save(const v1::Snapshot& snapshot) const;

  // To read and append.
  Result<UniqueFd> OpenPart(const std::string& id) const;
  // What is stored of it, to read.
  Result<UniqueFd> OpenStored(const v1::Snapshot& snapshot) const;
  // The part becomes the bundle of this hash, to survive a power cut.
  Status Keep(const std::string& id, const std::string& sha256) const;
  // Its bytes. Fine if there are none.
  Status RemoveBytes(const v1::Snapshot& snapshot) const;

  // Of all bundles and parts.
  Result<std::uint64_t> UsedBytes() const;
  Result<std::uint64_t> FreeBytes() const;
  const std::string& directory() const { return directory_; }

 private:
  explicit SnapshotFiles(std::string directory) : directory_(std::move(directory)) {}
  std::string PartOf(const std::string& id) const { return directory_ + "/" + id + ".part"; }
  std::string BundleOf(const std::string& sha256) const {
    return directory_ + "/" + sha256 + ".tar.zst";
  }
  std::string directory_;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_SNAPSHOT_SNAPSHOT_FILES_H_
