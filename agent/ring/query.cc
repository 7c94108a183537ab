// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/query.h"

#include <sys/stat.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "agent/ring/segment_file.h"
#include "common/file.h"

namespace culprit {
namespace {

bool HasEndpoint(const PacketQuery& query, const Endpoint& end) {
  return (!query.address || *query.address == end.address) &&
         (!query.port || *query.port == end.port);
}

template <class Id>
bool IsOneOf(const std::vector<Id>& wanted, Id id) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), id) != wanted.end();
}

template <class Id>
bool MayHaveOneOf(const SegmentIndex& index, const std::vector<Id>& wanted) {
  return wanted.empty() ||
         std::any_of(wanted.begin(), wanted.end(), [&](const Id& id) { return index.MayHave(id); });
}

}  // namespace

bool MayHold(const PacketQuery& query, const SegmentIndex& index) {
  return index.Overlaps(query.from_ns, query.to_ns) && MayHaveOneOf(index, query.flows) &&
         MayHaveOneOf(index, query.processes) && (!query.address || index.MayHave(*query.address));
}

// The matching packets of one directory, in the order of its segments.
class PacketCursor::Lane {
 public:
  Lane(std::string directory, const PacketQuery& query, const PacketDecoder& decode,
       QueryStats* stats)
      : directory_(std::move(directory)), query_(query), decode_(decode), stats_(*stats) {}

  Status Start() {
    TRY(SegmentListing listing, ListSegments(directory_));
    numbers_ = std::move(listing.closed);
    numbers_.insert(numbers_.end(), listing.open.begin(), listing.open.end());
    std::sort(numbers_.begin(), numbers_.end());
    numbers_.erase(std::unique(numbers_.begin(), numbers_.end()), numbers_.end());
    return Advance();
  }

  const StoredPacket* current() const { return at_end_ ? nullptr : &packet_; }

  // To the next match.
  Status Advance() {
    for (;;) {
      if (!reader_ && !OpenNext()) {
        at_end_ = true;
        return Ok();
      }
      PcapngBlock block;
      TRY(const bool more, reader_->Next(&block));
      if (!more) {
        EndSegment();
      } else if (block.kind == PcapngBlockKind::kProcess) {
        processes_[block.process.id] = block.process;
      } else if (block.kind == PcapngBlockKind::kPacket && Take(block.packet)) {
        return Ok();
      }
    }
  }

 private:
  // False: there is no further one.
  bool OpenNext() {
    while (next_ < numbers_.size()) {
      const std::uint64_t number = numbers_[next_++];
      if (PassOver(number)) {
        ++stats_.passed_over;
        continue;
      }
      // One that is open may be closed at this moment, a closed one removed.
      for (const auto kind :
           {SegmentFileKind::kClosed, SegmentFileKind::kOpen, SegmentFileKind::kClosed}) {
        path_ = Path(number, kind);
        auto reader = PacketSegmentReader::Open(path_);
        if (!reader) continue;
        reader_.emplace(std::move(*reader));
        processes_.clear();
        ++stats_.segments;
        return true;
      }
    }
    return false;
  }

  bool PassOver(std::uint64_t number) const {
    const auto bytes = ReadWholeFile(Path(number, SegmentFileKind::kIndex), kMaxIndexBytes);
    if (!bytes) return false;
    const auto index = SegmentIndex::Parse(*bytes);
    return index && !MayHold(query_, *index);
  }

  void EndSegment() {
    struct stat st {};
    if (path_.ends_with(FormatSegmentName(0, SegmentFileKind::kClosed).substr(8)) &&
        stat(path_.c_str(), &st) == 0 &&
        static_cast<std::uint64_t>(st.st_size) > reader_->whole_bytes()) {
      ++stats_.damaged;
    }
    reader_.reset();
  }

  bool Take(const PcapngPacket& packet) {
    if (packet.wall_ns < query_.from_ns || packet.wall_ns > query_.to_ns ||
        !IsOneOf(query_.flows, packet.flow) || !IsOneOf(query_.processes, packet.process) ||
        packet.interface >= reader_->interfaces().size()) {
      return false;
    }
    const PcapngInterface& interface = reader_->interfaces()[packet.interface];
    if ((query_.address || query_.port) && !MatchesEnds(packet, interface.link_type)) return false;
    packet_.interface = interface.name;
    packet_.link_type = interface.link_type;
    packet_.packet = packet;
    const auto process = processes_.find(packet.process);
    packet_.process = process != processes_.end() ? &process->second : nullptr;
    return true;
  }

  bool MatchesEnds(const PcapngPacket& packet, int link_type) const {
    CapturedPacket captured;
    captured.wall_ns = packet.wall_ns;
    captured.link_type = link_type;
    captured.wire_bytes = packet.wire_bytes;
    captured.bytes = packet.bytes;
    Packet headers;
    if (decode_(captured, headers) != PacketStatus::kOk) return false;
    return HasEndpoint(query_, {headers.source, headers.source_port}) ||
           HasEndpoint(query_, {headers.destination, headers.destination_port});
  }

  std::string Path(std::uint64_t number, SegmentFileKind kind) const {
    return directory_ + "/" + FormatSegmentName(number, kind);
  }

  std::string directory_;
  const PacketQuery& query_;
  const PacketDecoder& decode_;
  QueryStats& stats_;
  std::vector<std::uint64_t> numbers_;
  std::size_t next_ = 0;
  std::optional<PacketSegmentReader> reader_;
  std::string path_;
  std::unordered_map<ProcessId, PcapngProcess> processes_;
  StoredPacket packet_;
  bool at_end_ = false;
};

PacketCursor::PacketCursor(PacketQuery query, PacketDecoder decode)
    : query_(std::move(query)), decode_(std::move(decode)) {}
PacketCursor::~PacketCursor() = default;

Result<std::unique_ptr<PacketCursor>> PacketCursor::Open(
    const std::vector<std::string>& directories, PacketQuery query, PacketDecoder decode) {
  std::unique_ptr<PacketCursor> cursor(new PacketCursor(std::move(query), std::move(decode)));
  for (const std::string& directory : directories) {
    cursor->lanes_.push_back(
        std::make_unique<Lane>(directory, cursor->query_, cursor->decode_, &cursor->stats_));
    TRY_VOID(cursor->lanes_.back()->Start());
  }
  return cursor;
}

Result<const StoredPacket*> PacketCursor::Next() {
  if (given_ != nullptr) TRY_VOID(given_->Advance());
  given_ = nullptr;
  for (const auto& lane : lanes_) {
    if (lane->current() == nullptr) continue;
    if (given_ == nullptr || lane->current()->packet.wall_ns < given_->current()->packet.wall_ns) {
      given_ = lane.get();
    }
  }
  if (given_ == nullptr) return nullptr;
  ++stats_.packets;
  return given_->current();
}

Result<QueryStats> QueryPackets(const std::vector<std::string>& directories,
                                const PacketQuery& query, const PacketDecoder& decode,
                                const std::function<bool(const StoredPacket&)>& sink) {
  TRY(const auto cursor, PacketCursor::Open(directories, query, decode));
  for (;;) {
    TRY(const StoredPacket* packet, cursor->Next());
    if (packet == nullptr || !sink(*packet)) return cursor->stats();
  }
}

}  // namespace culprit
