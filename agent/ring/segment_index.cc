// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/segment_index.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/bytes.h"
#include "common/crc32c.h"

namespace culprit {
namespace {

constexpr std::string_view kMagic = "CULPIDX1";
constexpr std::size_t kSumAt = 8, kBodyAt = 12, kFixedBody = 4 + 8 + 8 + 8;
constexpr std::uint32_t kFlowsOverflow = 1, kProcessesOverflow = 2, kAddressesOverflow = 4;

template <class T>
void Put(std::string* out, T value) {
  char bytes[sizeof(T)];
  StoreLe(bytes, value);
  out->append(bytes, sizeof(T));
}

template <class Set>
void PutSorted(std::string* out, const Set& set) {
  std::vector<typename Set::value_type> sorted(set.begin(), set.end());
  std::sort(sorted.begin(), sorted.end());
  Put(out, static_cast<std::uint32_t>(sorted.size()));
  for (const auto value : sorted) Put(out, value);
}

// Takes fields off the front; after one that is not there everything is zero and ok() false.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T Take() {
    const std::string_view field = TakeBytes(sizeof(T));
    return ok_ ? LoadLe<T>(field.data()) : T{};
  }
  std::string_view TakeBytes(std::size_t n) {
    if (n > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    const std::string_view taken = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return taken;
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

template <class Set>
bool TakeSet(Fields* fields, std::size_t limit, Set* set) {
  const auto count = fields->Take<std::uint32_t>();
  if (count > limit) return false;
  for (std::uint32_t i = 0; i < count && fields->ok(); ++i) {
    set->insert(fields->Take<typename Set::value_type>());
  }
  return fields->ok();
}

template <class Set, class Value>
void Insert(Set* set, Value value, std::size_t limit, bool* overflow) {
  if (*overflow || set->contains(value)) return;
  if (set->size() < limit) {
    set->insert(value);
  } else {
    *overflow = true;
  }
}

std::uint32_t Sum(const IpAddress& address) { return Crc32c(address.AsBytes()); }

}  // namespace

void SegmentIndex::AddPacket(std::int64_t wall_ns, FlowId flow, ProcessId process) {
  first_ns_ = packets_ == 0 ? wall_ns : std::min(first_ns_, wall_ns);
  last_ns_ = packets_ == 0 ? wall_ns : std::max(last_ns_, wall_ns);
  ++packets_;
  if (flow != std::exchange(last_flow_, flow) && flow != FlowId{}) {
    Insert(&flows_, flow.value(), kMaxIndexFlows, &flows_overflow_);
  }
  if (process != std::exchange(last_process_, process) && process != ProcessId{}) {
    Insert(&processes_, process.value(), kMaxIndexProcesses, &processes_overflow_);
  }
}

void SegmentIndex::AddAddress(const IpAddress& address) {
  // "::" is what they begin with.
  const bool known = address == last_addresses_[0] || address == last_addresses_[1];
  if (known && !address.IsUnspecified()) return;
  last_addresses_ = {address, last_addresses_[0]};
  Insert(&addresses_, Sum(address), kMaxIndexAddresses, &addresses_overflow_);
}

void SegmentIndex::AddInterface(std::string_view name) {
  if (interfaces_.size() >= kMaxIndexInterfaces) return;
  if (interfaces_.emplace(name.substr(0, kMaxIndexNameBytes)).second) {
    name_bytes_ += 2 + std::min(name.size(), kMaxIndexNameBytes);
  }
}

bool SegmentIndex::Overlaps(std::int64_t from_ns, std::int64_t to_ns) const {
  return packets_ > 0 && first_ns_ <= to_ns && last_ns_ >= from_ns;
}
bool SegmentIndex::MayHave(FlowId flow) const {
  return flows_overflow_ || flows_.contains(flow.value());
}
bool SegmentIndex::MayHave(ProcessId process) const {
  return processes_overflow_ || processes_.contains(process.value());
}
bool SegmentIndex::MayHave(const IpAddress& address) const {
  return addresses_overflow_ || addresses_.contains(Sum(address));
}

std::size_t SegmentIndex::EncodedBytes() const {
  return kBodyAt + kFixedBody + 4 * sizeof(std::uint32_t) +
         8 * (flows_.size() + processes_.size()) + 4 * addresses_.size() + name_bytes_;
}

std::string SegmentIndex::Encode() const {
  std::string out(kMagic);
  out.append(kBodyAt - kSumAt, '\0');
  Put(&out, (flows_overflow_ ? kFlowsOverflow : 0U) |
                (processes_overflow_ ? kProcessesOverflow : 0U) |
                (addresses_overflow_ ? kAddressesOverflow : 0U));
  Put(&out, first_ns_);
  Put(&out, last_ns_);
  Put(&out, packets_);
  PutSorted(&out, flows_);
  PutSorted(&out, processes_);
  PutSorted(&out, addresses_);
  Put(&out, static_cast<std::uint32_t>(interfaces_.size()));
  for (const std::string& name : interfaces_) {
    Put(&out, static_cast<std::uint16_t>(name.size()));
    out += name;
  }
  StoreLe(out.data() + kSumAt, Crc32c(std::string_view(out).substr(kBodyAt)));
  return out;
}

Result<SegmentIndex> SegmentIndex::Parse(std::string_view bytes) {
  if (bytes.size() < kBodyAt || bytes.substr(0, kMagic.size()) != kMagic ||
      LoadLe<std::uint32_t>(bytes.data() + kSumAt) != Crc32c(bytes.substr(kBodyAt))) {
    return DataLoss("not an index of a segment, or damaged");
  }
  Fields fields(bytes.substr(kBodyAt));
  SegmentIndex index;
  const auto flags = fields.Take<std::uint32_t>();
  index.flows_overflow_ = (flags & kFlowsOverflow) != 0;
  index.processes_overflow_ = (flags & kProcessesOverflow) != 0;
  index.addresses_overflow_ = (flags & kAddressesOverflow) != 0;
  index.first_ns_ = fields.Take<std::int64_t>();
  index.last_ns_ = fields.Take<std::int64_t>();
  index.packets_ = fields.Take<std::uint64_t>();
  if (!TakeSet(&fields, kMaxIndexFlows, &index.flows_) ||
      !TakeSet(&fields, kMaxIndexProcesses, &index.processes_) ||
      !TakeSet(&fields, kMaxIndexAddresses, &index.addresses_)) {
    return DataLoss("an index of a segment has too many entries, or ends early");
  }
  const auto names = fields.Take<std::uint32_t>();
  for (std::uint32_t i = 0; i < names && fields.ok() && i < kMaxIndexInterfaces; ++i) {
    const std::string_view name = fields.TakeBytes(fields.Take<std::uint16_t>());
    index.AddInterface(name);
  }
  if (!fields.done())
    return DataLoss("an index of a segment ends early, or goes on behind its end");
  return index;
}

}  // namespace culprit
