// SPDX-License-Identifier: Apache-2.0
#include "agent/flow_memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

#include "common/crc32c.h"

namespace culprit {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

constexpr std::uint64_t kMagic = 0x314f4c46504c5543ULL;  // "CULPFLO1" as bytes
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kNone = 0xffffffffU;
constexpr std::size_t kGrowSlots = 512;

struct Header {
  std::uint64_t magic = kMagic;
  std::uint32_t version = kVersion, record_bytes = 0;
  std::array<std::uint8_t, 16> boot_id{};
  std::array<std::uint8_t, 32> zero{};
};
static_assert(sizeof(Header) == 64);

struct Record {
  std::uint64_t order, flow, process, start;
  FlowTotals totals;
  std::uint32_t crc, zero;
};
static_assert(sizeof(Record) == 112);
constexpr std::size_t kSlotBytes = 2 * sizeof(Record);

std::uint32_t CrcOf(const Record& record) {
  return Crc32c({reinterpret_cast<const char*>(&record), offsetof(Record, crc)});
}

// False: empty, or a kill came in the middle.
bool Read(const char* place, Record& record) {
  std::memcpy(&record, place, sizeof(record));
  return record.order != 0 && record.crc == CrcOf(record);
}

std::size_t BytesOf(std::size_t slots) { return sizeof(Header) + slots * kSlotBytes; }

}  // namespace

Result<std::unique_ptr<FlowMemoryFile>> FlowMemoryFile::Open(const std::string& path,
                                                             const Uuid& boot_id,
                                                             std::size_t max_parts) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return ErrnoError("open " + path);
  std::unique_ptr<FlowMemoryFile> memory(new FlowMemoryFile(std::move(fd), max_parts));
  if (auto begun = memory->Begin(boot_id); !begun) return std::move(begun).error().Context(path);
  memory->Load();
  return memory;
}

FlowMemoryFile::~FlowMemoryFile() {
  if (bytes_ != nullptr) munmap(bytes_, mapped_);
}

Status FlowMemoryFile::Begin(const Uuid& boot_id) {
  Header ours;
  ours.record_bytes = sizeof(Record);
  std::memcpy(ours.boot_id.data(), boot_id.bytes.data(), ours.boot_id.size());
  Header theirs;
  struct stat st {};
  const bool whole = fstat(fd_.get(), &st) == 0 &&
                     pread(fd_.get(), &theirs, sizeof(theirs), 0) == ssize_t{sizeof(theirs)};
  std::size_t slots = 0;
  if (whole && std::memcmp(&ours, &theirs, sizeof(ours)) == 0) {
    slots =
        std::min((static_cast<std::size_t>(st.st_size) - sizeof(Header)) / kSlotBytes, max_slots_);
  } else {
    if (ftruncate(fd_.get(), 0) != 0) return ErrnoError("empty");
    if (pwrite(fd_.get(), &ours, sizeof(ours), 0) != ssize_t{sizeof(ours)})
      return ErrnoError("write");
  }
  return Map(slots);
}

Status FlowMemoryFile::Map(std::size_t slots) {
  // With blocks behind every byte a full disk is an error here and no signal later.
  const std::size_t bytes = BytesOf(slots);
  if (const int error = posix_fallocate(fd_.get(), 0, static_cast<off_t>(bytes)); error != 0)
    return ErrnoError("allocate", error);
  void* mapped = bytes_ == nullptr
                     ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0)
                     : mremap(bytes_, mapped_, bytes, MREMAP_MAYMOVE);
  if (mapped == MAP_FAILED) return ErrnoError("map");
  bytes_ = static_cast<char*>(mapped);
  mapped_ = bytes;
  for (std::size_t slot = slots; slot > slots_; --slot)
    free_.push_back(static_cast<std::uint32_t>(slot - 1));
  slots_ = static_cast<std::uint32_t>(slots);
  return Ok();
}

char* FlowMemoryFile::SlotAt(std::uint32_t slot) const { return bytes_ + BytesOf(slot); }

void FlowMemoryFile::Load() {
  std::vector<std::uint32_t> empty;
  for (const std::uint32_t slot : free_) {
    Record first{};
    Record second{};
    const bool one = Read(SlotAt(slot), first);
    const bool two = Read(SlotAt(slot) + sizeof(Record), second);
    if (!one && !two) {
      empty.push_back(slot);
      continue;
    }
    const Record& record = !two || (one && first.order > second.order) ? first : second;
    former_.push_back({FlowId{record.flow}, ProcessId{record.process}, BootTimeFromNs(record.start),
                       record.totals, record.order});
    places_[FlowId{record.flow}].push_back({ProcessId{record.process}, slot});
    order_ = std::max(order_, record.order);
  }
  free_ = std::move(empty);
}

bool FlowMemoryFile::Grow() {
  const std::size_t slots = std::min<std::size_t>(slots_ + kGrowSlots, max_slots_);
  return slots > slots_ && Map(slots).has_value();
}

std::uint32_t FlowMemoryFile::SlotFor(FlowId flow, ProcessId process) {
  std::vector<Place>& places = places_[flow];
  for (const Place& place : places) {
    if (place.process == process) return place.slot;
  }
  if (free_.empty() && !Grow()) {
    if (places.empty()) places_.erase(flow);
    return kNone;
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  places.push_back({process, slot});
  return slot;
}

void FlowMemoryFile::Put(const RememberedPart& part) {
  const std::uint32_t slot = SlotFor(part.flow, part.process);
  if (slot == kNone) {
    ++refused_;
    return;
  }
  Record record{++order_, part.flow.value(), part.process.value(), ToNs(part.start), part.totals, 0,
                0};
  record.crc = CrcOf(record);
  std::uint64_t orders[2];
  std::memcpy(&orders[0], SlotAt(slot), sizeof(orders[0]));
  std::memcpy(&orders[1], SlotAt(slot) + sizeof(Record), sizeof(orders[1]));
  std::memcpy(SlotAt(slot) + (orders[0] > orders[1] ? sizeof(Record) : 0), &record, sizeof(record));
}

void FlowMemoryFile::Forget(FlowId flow) {
  const auto found = places_.find(flow);
  if (found == places_.end()) return;
  for (const Place& place : found->second) {
    std::memset(SlotAt(place.slot), 0, kSlotBytes);
    free_.push_back(place.slot);
  }
  places_.erase(found);
}

}  // namespace culprit
