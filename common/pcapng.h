// SPDX-License-Identifier: Apache-2.0
// The pcapng capture format (IETF draft-ietf-opsawg-pcapng), both ways, and what Culprit adds to
// it. Stage: common. Pure: bytes <-> values, no I/O. Thread: a parser belongs to one caller.
// Failure: parsing is total; a block that contradicts itself is reported as damaged with a reason.
//
// Written little-endian: one section, interfaces with nanosecond times, packets, statistics.
// Culprit adds two things under the Private Enterprise Number for documentation (32473, RFC 5612),
// which other readers skip. Their content starts with a mark of its own, because that number is
// shared, and is little-endian whatever the section's byte order, because tools that copy blocks
// into a section of another order cannot turn it.
//   process block  = Custom Block 0x00000BAD, PEN, "CULPROC1", then per field: u16 type, u16
//   length,
//                    value, zero to the next multiple of four:
//     1 process id u64 | 2 tgid u32 | 3 start_boot_ns u64 | 4 exec_id u64 | 5 uid u32 |
//     6 exe | 7 argv joined by spaces | 8 parent's process id u64 | 0 end
//     A reader skips types that it does not know. Repeated in every file, before its first packet.
//   packet's names = option 2989 (custom, binary, copied) of an Enhanced Packet Block: PEN,
//                    "CULPKT01", u64 process id, u64 flow id
//   For people and other tools the packet has the same as a comment:
//     "p=<16 hex> f=<16 hex> pid=<tgid> comm=<escaped>"
#ifndef CULPRIT_COMMON_PCAPNG_H_
#define CULPRIT_COMMON_PCAPNG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/ids.h"

namespace culprit {

inline constexpr std::uint32_t kPcapngSectionMagic = 0x0a0d0d0a;  // reads the same in both orders
inline constexpr std::uint32_t kPcapngEnterprise = 32473;

// Bounds of what is read. Blocks above are damage; texts are cut; options above are not looked at.
inline constexpr std::uint32_t kMaxPcapngBlockBytes = 16U << 20;
inline constexpr std::size_t kMaxPcapngOptions = 512;
inline constexpr std::size_t kMaxPcapngNameBytes = 256;
inline constexpr std::size_t kMaxPcapngInterfaces = 65536;  // of a section
// A block that is looked for behind damage is at most as long as this.
inline constexpr std::uint32_t kMaxPcapngResyncBytes = 1U << 20;

enum class PacketDirection : std::uint8_t { kUnknown = 0, kIn = 1, kOut = 2 };

struct PcapngSection {
  std::string hardware, os, application;  // empty = not written
};

struct PcapngInterface {
  std::string name;
  int link_type = 0;
  std::uint32_t snaplen = 0;  // 0 = no limit
};

// A packet as a block carries it. `comment` and `bytes` point into the caller's bytes.
struct PcapngPacket {
  std::uint32_t interface = 0;  // of the section
  std::int64_t wall_ns = 0;
  bool timed = true;  // false: a Simple Packet Block, which has no time
  std::uint32_t wire_bytes = 0;
  std::string_view bytes;
  PacketDirection direction = PacketDirection::kUnknown;
  std::string_view comment;
  std::optional<std::uint64_t> dropped;  // lost between the packet before and this one
  ProcessId process;
  FlowId flow;
};

struct PcapngStatistics {
  std::uint32_t interface = 0;
  std::int64_t wall_ns = 0;
  std::optional<std::int64_t> start_ns, end_ns;
  std::optional<std::uint64_t> received, interface_drops, os_drops;
};

struct PcapngProcess {
  ProcessId id;
  Tgid tgid;
  BootTime start;
  std::uint64_t exec_id = 0;
  Uid uid = kNoUid;
  std::string exe;        // both are cut to 65,535 bytes
  std::string arguments;  // joined by spaces
  ProcessId parent;
};

// All append one whole block to `out`. Times before 1970 are written as 1970.
void AppendPcapngSection(const PcapngSection& section, std::string* out);
void AppendPcapngInterface(const PcapngInterface& interface, std::string* out);
void AppendPcapngPacket(const PcapngPacket& packet, std::string* out);
void AppendPcapngStatistics(const PcapngStatistics& statistics, std::string* out);
void AppendPcapngProcess(const PcapngProcess& process, std::string* out);
// `comm` is escaped here.
std::string PcapngPacketComment(ProcessId process, FlowId flow, Tgid tgid, std::string_view comm);

enum class PcapngFind : std::uint8_t {
  kBlock,  // whole; `block` says what it is
  kMore,   // the bytes end within the block; block.total_bytes says how much is needed, 0 = a head
  kDamaged,  // no block can be made of the front: Resync(); block.reason says why
};

enum class PcapngBlockKind : std::uint8_t {
  kSkipped = 0,  // a type that is not looked at
  kSection,
  kInterface,
  kPacket,
  kStatistics,
  kProcess,
  kBroken,  // its frame is right and its content is not; block.reason says why
};

struct PcapngBlock {
  PcapngBlockKind kind = PcapngBlockKind::kSkipped;
  std::uint32_t total_bytes = 0;
  PcapngPacket packet;          // of kPacket
  PcapngStatistics statistics;  // of kStatistics
  PcapngProcess process;        // of kProcess
  const char* reason = "";      // of kBroken and kDamaged
};

// Takes blocks off the front of bytes that the caller moves along, and keeps what a section says
// about the blocks in it.
class PcapngParser {
 public:
  // `bytes` starts where a block should. Views in `block` are into `bytes`.
  PcapngFind Next(std::string_view bytes, PcapngBlock* block);
  // Where the next plausible block is, from `bytes[from]` on: bytes.size() if there is none. Where
  // the bytes end within a candidate, `*more` is set and it is that place: kMaxPcapngResyncBytes
  // behind it decide. `last`: no more bytes will follow.
  std::size_t Resync(std::string_view bytes, std::size_t from, bool last, bool* more) const;
  // Interfaces of the current section, in their order.
  const std::vector<PcapngInterface>& interfaces() const { return interfaces_; }

 private:
  // How an interface writes time.
  struct Clock {
    bool binary = false;
    std::uint8_t exponent = 6;  // units are 10^-exponent or 2^-exponent seconds
    std::int64_t offset_s = 0;
    std::int64_t ToWallNs(std::uint64_t ticks) const;
  };
  std::uint16_t U16(const char* at) const;
  std::uint32_t U32(const char* at) const;
  std::uint64_t U64(const char* at) const;
  std::uint64_t Ticks(const char* at) const;  // high word, low word
  template <class F>
  void ForEachOption(std::string_view bytes, F&& take) const;

  // Each sets block->kind, kBroken included. `body` is without head and trailing length.
  void ReadSection(std::string_view body, PcapngBlock* block);
  void ReadInterface(std::string_view body, PcapngBlock* block);
  void ReadEnhancedPacket(std::string_view body, PcapngBlock* block) const;
  void ReadObsoletePacket(std::string_view body, PcapngBlock* block) const;
  void ReadSimplePacket(std::string_view body, PcapngBlock* block) const;
  void ReadStatistics(std::string_view body, PcapngBlock* block) const;
  void ReadCustom(std::string_view body, PcapngBlock* block) const;
  void ReadPacketOption(std::uint16_t code, std::string_view value, PcapngPacket* packet) const;
  bool PlausibleAt(std::string_view bytes, std::size_t at, bool* more) const;

  bool big_endian_ = false;
  bool in_section_ = false;
  std::vector<PcapngInterface> interfaces_;
  std::vector<Clock> clocks_;
};

}  // namespace culprit

#endif  // CULPRIT_COMMON_PCAPNG_H_
