// SPDX-License-Identifier: Apache-2.0
// SegmentIndex: what is in one segment file, so that a query can pass it over unread. It may say
// "perhaps" (an overflow), never a wrong "no".
// Stage: ring. Pure. Thread: values. Failure: Parse is total on any bytes; an index that does not
// check out is as good as none, and is made again from its segment.
//
// File NNNNNNNN.idx, little-endian: magic "CULPIDX1", u32 CRC-32C of what follows, u32 flags (1
// flows overflowed, 2 processes, 4 addresses), i64 first and last time, u64 packets, then u32 count
// + sorted values: flows u64, processes u64, addresses u32 (CRC-32C of the 16 bytes); u32 count of
// interface names, each u16 length + text.
#ifndef CULPRIT_AGENT_RING_SEGMENT_INDEX_H_
#define CULPRIT_AGENT_RING_SEGMENT_INDEX_H_

#include <absl/container/flat_hash_set.h>

#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "common/ids.h"
#include "common/net_address.h"
#include "common/result.h"

namespace culprit {

inline constexpr std::size_t kMaxIndexFlows = 4096;
inline constexpr std::size_t kMaxIndexProcesses = 1024;
inline constexpr std::size_t kMaxIndexAddresses = 4096;
inline constexpr std::size_t kMaxIndexInterfaces = 256;
inline constexpr std::size_t kMaxIndexNameBytes = 64;
inline constexpr std::size_t kMaxIndexBytes = 96U << 10;

class SegmentIndex {
 public:
  void AddPacket(std::int64_t wall_ns, FlowId flow, ProcessId process);
  void AddAddress(const IpAddress& address);
  // Addresses of a packet could not be read: a query for one must look into the segment.
  void AddUnknownAddress() { addresses_overflow_ = true; }
  void AddInterface(std::string_view name);

  std::int64_t first_ns() const { return first_ns_; }
  std::int64_t last_ns() const { return last_ns_; }
  std::uint64_t packets() const { return packets_; }
  const std::set<std::string>& interfaces() const { return interfaces_; }
  bool Overlaps(std::int64_t from_ns, std::int64_t to_ns) const;
  bool MayHave(FlowId flow) const;
  bool MayHave(ProcessId process) const;
  bool MayHave(const IpAddress& address) const;

  std::size_t EncodedBytes() const;
  std::string Encode() const;
  static Result<SegmentIndex> Parse(std::string_view bytes);

 private:
  std::int64_t first_ns_ = 0, last_ns_ = 0;
  std::uint64_t packets_ = 0;
  bool flows_overflow_ = false, processes_overflow_ = false, addresses_overflow_ = false;
  absl::flat_hash_set<std::uint64_t> flows_, processes_;
  absl::flat_hash_set<std::uint32_t> addresses_;
  // The last that were added: most packets are of the flow of the one before.
  FlowId last_flow_;
  ProcessId last_process_;
  std::array<IpAddress, 2> last_addresses_;
  std::set<std::string> interfaces_;
  std::size_t name_bytes_ = 0;
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_RING_SEGMENT_INDEX_H_
