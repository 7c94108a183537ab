// SPDX-License-Identifier: Apache-2.0
// ExeHasher: the SHA-256 of every executable that runs.
//
// fanotify FAN_OPEN_EXEC hands over an open descriptor at the moment of exec, so a program that
// deletes itself or ends at once is still hashed. What fanotify cannot see (memfd, filesystems of
// other mount namespaces) is opened through /proc/PID/exe when the sensor tells of the exec.
// Each file is told with its package (package_book.h), and whether it is still what that brought:
// MD5 of what is read for the SHA-256 anyway.
//
// Results are cached by (dev, inode, ctime, size).
//
// Stage: source (edge: fanotify, files). Thread: own thread at low priority; the public functions
// belong to the sensor's thread and never wait for the disk. Bounded: a queue of requests, bytes a
// file, bytes a second, entries of the cache; what does not fit is counted. Without the privilege
// for fanotify the mode says so and /proc/PID/exe does what it can.
#ifndef CULPRIT_AGENT_SOURCE_EXE_HASHER_H_
#define CULPRIT_AGENT_SOURCE_EXE_HASHER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "agent/model/event.h"
#include "common/result.h"

namespace culprit {

struct ExeHasherOptions {
  bool use_fanotify = true;
  std::uint64_t max_file_bytes = 512ULL << 20;
  std::uint64_t bytes_per_second = 64ULL << 20;
  std::size_t queue_entries = 4096;
  std::size_t cache_entries = 8192;
  std::string proc_root = "/proc";
  std::string package_root;  // where the file system of dpkg's lists begins; empty = /
};

struct ExeHasherStats {
  std::uint64_t hashed = 0, hashed_bytes = 0, cache_hits = 0;
  std::uint64_t too_big = 0, unreadable = 0;
  std::uint64_t changed_while_hashing = 0;
  // Executables that may have gone without a hash.
  std::uint64_t fanotify_overflows = 0, requests_dropped = 0, results_dropped = 0, gone = 0;
  std::uint64_t filesystems_marked = 0;
};

class ExeHasher {
 public:
  static Result<std::unique_ptr<ExeHasher>> Start(const ExeHasherOptions& options);
  virtual ~ExeHasher() = default;

  // Readable when Take() has something.
  virtual int poll_fd() const = 0;
  virtual std::vector<ExeHashEvent> Take() = 0;
  // An exec was seen: makes sure that this executable gets a hash under this very identity.
  virtual void OnExec(Tgid tgid, const ExeIdentity& exe, bool memfd) = 0;
  // A process that was there before the agent: hashed when there is nothing else to do.
  virtual void OnExisting(Tgid tgid, const ExeIdentity& exe) = 0;
  virtual ExeHasherStats stats() const = 0;
  // "fanotify" or "none: REASON", as Fidelity.exe_hash_mode.
  virtual std::string mode() const = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_SOURCE_EXE_HASHER_H_
