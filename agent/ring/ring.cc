// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/ring.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <future>
#include <map>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>

#include "agent/ring/contact_book.h"
#include "common/file.h"
#include "common/mutex.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kWake{100};  // while packets are held or not yet written
constexpr milliseconds kIdleWake{1000};
constexpr milliseconds kFlush{250};  // with the kernel's gathering and the hold below a second
constexpr milliseconds kReport{2000};
constexpr std::size_t kMaxFlagged = 1024;
constexpr std::size_t kMaxInterfaces = 4096;
constexpr std::size_t kMaxArguments = 1024;  // bytes of a command line
// Most valuable first, where room is short.
constexpr std::array<RingLane, kRingLanes> kFreezeOrder = {RingLane::kLogin, RingLane::kContact,
                                                           RingLane::kGeneral};

std::size_t At(RingLane lane) { return static_cast<std::size_t>(lane); }

SegmentRingOptions LaneOptions(const RingConfig& config, RingLane lane,
                               std::uint64_t first_number) {
  const std::uint64_t all = config.segment_bytes * config.segments;
  SegmentRingOptions options;
  options.directory = config.directory + "/" + kRingLaneNames.at(At(lane));
  options.max_bytes = lane == RingLane::kGeneral ? all / 2 : all / 4;
  options.segment_bytes = std::min(config.segment_bytes, options.max_bytes / 2);
  options.min_free_bytes = config.min_free_bytes;
  options.first_number = first_number;
  options.section = config.section;
  return options;
}

bool RuledOut(const std::string& index_path, const PacketQuery& query) {
  const auto bytes = ReadWholeFile(index_path, kMaxIndexBytes);
  if (!bytes) return false;
  const auto index = SegmentIndex::Parse(*bytes);
  return index && !MayHold(query, *index);
}

struct FlagCommand {
  enum class What { kProcess, kFlow, kAddress } what = What::kProcess;
  ProcessId process;
  Endpoint a, b;
  std::uint8_t protocol = 0;
  bool flagged = false;
};

using Call = std::function<void()>;
using Item = std::variant<RingFlow, PcapngProcess, FlagCommand, Call>;

}  // namespace

class PacketRing::Impl {
 public:
  Impl(RingConfig config, PacketDecoder decode)
      : config_(std::move(config)),
        decode_(std::move(decode)),
        join_(config_.join),
        frozen_(config_.directory + "/frozen", config_.frozen_bytes) {}

  ~Impl() {
    if (!thread_.joinable()) return;
    {
      const MutexLock lock(&mutex_);
      stopping_ = true;
    }
    Wake();
    thread_.join();
  }

  Status Start() {
    TRY_VOID(MakeDirectories(config_.directory, 0700));
    const std::uint64_t first_number = frozen_.HighestNumber() + 1;
    for (std::size_t i = 0; i < kRingLanes; ++i) {
      TRY(lanes_[i], SegmentRing::Open(LaneOptions(config_, static_cast<RingLane>(i), first_number),
                                       [this](ProcessId id) { return FindProcess(id); }));
    }
    wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake_) return ErrnoError("eventfd");
    TRY(tap_, PacketTap::Open(config_.tap));
    Report();
    thread_ = std::thread([this] { Run(); });
    return Ok();
  }

  // Of things that may be lost.
  void Offer(Item item) {
    const MutexLock lock(&mutex_);
    if (queue_.size() >= config_.max_queue) {
      ++queue_dropped_;
      return;
    }
    queue_.push_back(std::move(item));
    if (queue_.size() == config_.max_queue / 2) Wake();  // else it is taken with the next packets
  }

  // Runs `body` on the ring's thread and waits for it.
  void OnThread(const Call& body) {
    std::promise<void> done;
    {
      const MutexLock lock(&mutex_);
      queue_.emplace_back(Call([&] {
        body();
        done.set_value();
      }));
    }
    Wake();
    done.get_future().wait();
  }

  Result<FrozenResult> Freeze(std::string_view name, std::int64_t from_ns, std::int64_t to_ns) {
    Result<FrozenResult> result = FrozenResult{};
    OnThread([&] {
      SettleHere();
      PacketQuery query;
      query.from_ns = from_ns;
      query.to_ns = to_ns;
      result = frozen_.Freeze(name, CollectForFreeze(query, false));
    });
    if (result) TRY_VOID(frozen_.Sync(name));
    return result;
  }

  Result<FrozenResult> FreezeFor(std::string_view name, const PacketQuery& query) {
    Result<FrozenResult> result = FrozenResult{};
    OnThread([&] {
      SettleHere();
      result = frozen_.Freeze(name, CollectForFreeze(query, true));
    });
    if (result) TRY_VOID(frozen_.Keep(name));
    return result;
  }

  Result<std::vector<std::string>> FrozenNames() const { return frozen_.Names(); }

  Result<std::unique_ptr<PacketCursor>> ReadFrozen(std::string_view name,
                                                   const PacketQuery& query) const {
    TRY(const std::vector<std::string> directories, frozen_.Directories(name));
    return PacketCursor::Open(directories, query, decode_);
  }

  Status Unfreeze(std::string_view name) {
    Status status = Ok();
    OnThread([&] { status = frozen_.Unfreeze(name); });
    return status;
  }

  Result<QueryStats> Query(const PacketQuery& query,
                           const std::function<bool(const StoredPacket&)>& sink,
                           std::string_view frozen) {
    if (!frozen.empty()) {
      TRY(const std::vector<std::string> directories, frozen_.Directories(frozen));
      return QueryPackets(directories, query, decode_, sink);
    }
    OnThread([this] { SettleHere(); });
    std::vector<std::string> directories;
    directories.reserve(kRingLanes);
    for (const char* lane : kRingLaneNames) directories.push_back(config_.directory + "/" + lane);
    return QueryPackets(directories, query, decode_, sink);
  }

  void Settle() {
    OnThread([this] {
      SettleHere();
      Report();
    });
  }

  RingStatus status() const {
    const MutexLock lock(&mutex_);
    RingStatus status = status_;
    status.queue_dropped = queue_dropped_;
    return status;
  }

 private:
  void Wake() const { eventfd_write(wake_.get(), 1); }

  void Run() {
    BootTime flushed = ReadBootClock();
    BootTime reported = flushed;
    for (;;) {
      pollfd fds[] = {{tap_->fd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
      const bool busy = unwritten_ || join_.stats().held_packets > 0;
      poll(fds, std::size(fds), static_cast<int>((busy ? kWake : kIdleWake).count()));
      eventfd_t wakes = 0;
      eventfd_read(wake_.get(), &wakes);
      const bool stop = TakeQueue();
      TakePackets();
      const BootTime now(polled_at_);
      if (now - flushed >= kFlush) {
        FlushLanes();
        flushed = now;
      }
      if (now - reported >= kReport) {
        Report();
        reported = now;
      }
      if (stop) break;
    }
    join_.ReleaseAll(on_named_);
    Report();
    for (const auto& lane : lanes_) lane->Rotate();
  }

  // True: it is time to stop. Calls are answered all the same.
  bool TakeQueue() {
    std::vector<Item> items;
    bool stop = false;
    {
      const MutexLock lock(&mutex_);
      items.swap(queue_);
      stop = stopping_;
    }
    if (!items.empty()) clock_ = ReadClockPair();
    for (Item& item : items) {
      std::visit([self = this](auto& what) { self->Take(what); }, item);
    }
    return stop;
  }

  void Take(const RingFlow& flow) {
    JoinFlow joined;
    joined.flow = flow.flow;
    joined.process = flow.process;
    joined.tgid = flow.tgid;
    joined.comm = flow.comm;
    joined.local = flow.local;
    joined.remote = flow.remote;
    joined.protocol = flow.protocol;
    joined.start_ns = ToNs(clock_.ToWall(flow.start));
    const bool open = flow.end == BootTime{};
    if (!open) joined.end_ns = ToNs(clock_.ToWall(flow.end));
    join_.Learn(joined);
    if (flow.is_agent) {
      SetPolicy(joined, open ? FlowPolicy::kExclude : FlowPolicy::kNone);
    } else if (flagged_.contains(flow.process)) {
      SetPolicy(joined, open ? FlowPolicy::kWhole : FlowPolicy::kNone);
    }
  }

  void Take(PcapngProcess& process) {
    if (process.arguments.size() > kMaxArguments) process.arguments.resize(kMaxArguments);
    const auto [at, is_new] = processes_.try_emplace(process.id);
    if (is_new) process_order_.push_back(process.id);
    at->second = std::move(process);
    while (processes_.size() > config_.max_processes) {
      processes_.erase(process_order_.front());
      process_order_.pop_front();
    }
  }

  void Take(const FlagCommand& flag) {
    const FlowPolicy policy = flag.flagged ? FlowPolicy::kWhole : FlowPolicy::kNone;
    Status status = Ok();
    switch (flag.what) {
      case FlagCommand::What::kFlow:
        status = tap_->SetFlow(flag.a, flag.b, flag.protocol, policy);
        break;
      case FlagCommand::What::kAddress:
        status = tap_->SetAddress(flag.a.address, policy);
        break;
      case FlagCommand::What::kProcess:
        if (!flag.flagged) {
          flagged_.erase(flag.process);
        } else if (flagged_.size() < kMaxFlagged) {
          flagged_.insert(flag.process);
        }
        for (const JoinFlow& flow : join_.OpenFlowsOf(flag.process)) SetPolicy(flow, policy);
        break;
    }
    if (!status) policy_error_ = status.error().message;
  }

  static void Take(const Call& call) { call(); }

  void SetPolicy(const JoinFlow& flow, FlowPolicy policy) {
    const Status status = tap_->SetFlow(flow.local, flow.remote, flow.protocol, policy);
    if (!status) policy_error_ = status.error().message;
  }

  const PcapngProcess* FindProcess(ProcessId id) const {
    const auto found = processes_.find(id);
    return found != processes_.end() ? &found->second : nullptr;
  }

  void OnPacket(const TapPacket& packet, const SegmentInterface& interface) {
    CapturedPacket captured;
    captured.wall_ns = packet.wall_ns;
    captured.link_type = interface.description.link_type;
    captured.wire_bytes = packet.wire_bytes;
    captured.bytes = packet.bytes;
    Packet headers;
    const PacketStatus decoded = decode_(captured, headers);
    const bool ip = decoded == PacketStatus::kOk;
    if (!ip && decoded != PacketStatus::kNotIp) ++undecoded_;
    RingLane lane = LaneOf(ip ? &headers : nullptr, config_.tap.policy.ssh_ports);
    const bool begins = ip && contacts_.Begins(headers, packet.bytes.size(), polled_at_);
    if (begins && lane == RingLane::kGeneral) lane = RingLane::kContact;
    if (interfaces_.try_emplace(interface.id, interface).second &&
        interfaces_.size() > kMaxInterfaces) {
      interfaces_.erase(interfaces_.begin());  // ids go up
    }
    if (ip && config_.on_packet) config_.on_packet(headers, packet.wall_ns);
    join_.Hold(packet, ip ? &headers : nullptr, static_cast<std::uint8_t>(lane), polled_at_,
               on_named_);
  }

  void OnNamed(const TapPacket& packet, std::uint8_t lane, const JoinedNames& joined) {
    const auto interface = interfaces_.find(packet.interface);
    if (interface == interfaces_.end()) return;
    SegmentPacket out;
    out.interface = &interface->second;
    out.packet = packet;
    out.names = joined.names;
    out.source = joined.source;
    out.destination = joined.destination;
    lanes_.at(lane)->Write(out);
    unwritten_ = true;
  }

  void FlushLanes() {
    for (const auto& lane : lanes_) lane->Flush();
    unwritten_ = false;
  }

  void TakePackets() {
    polled_at_ = ReadBootClock().time_since_epoch();
    tap_->Poll(on_packet_);
    join_.Release(polled_at_, on_named_);
  }

  // Everything that has waited long enough, on disk.
  void SettleHere() {
    TakePackets();
    FlushLanes();
  }

  // `by_index`: those only whose index does not rule the query out.
  std::vector<FrozenSegment> CollectForFreeze(const PacketQuery& query, bool by_index) {
    std::vector<FrozenSegment> all;
    for (const RingLane which : kFreezeOrder) {
      SegmentRing& lane = *lanes_[At(which)];
      lane.Rotate();
      std::vector<ClosedSegment> segments = lane.Closed(query.from_ns, query.to_ns);
      std::reverse(segments.begin(), segments.end());  // the youngest first
      for (const ClosedSegment& segment : segments) {
        if (by_index && RuledOut(lane.Path(segment.number, SegmentFileKind::kIndex), query)) {
          continue;
        }
        all.push_back({kRingLaneNames.at(At(which)),
                       FormatSegmentName(segment.number, SegmentFileKind::kClosed),
                       lane.Path(segment.number, SegmentFileKind::kClosed),
                       lane.Path(segment.number, SegmentFileKind::kIndex)});
      }
    }
    return all;
  }

  void Report() {
    RingStatus status;
    status.interfaces = tap_->interfaces();
    for (const auto& [id, statistics] : tap_->statistics()) {
      for (const auto& lane : lanes_) lane->SetStatistics(id, statistics);
    }
    status.classes = tap_->counters();
    status.join = join_.stats();
    status.frozen_bytes = frozen_.bytes();
    status.undecoded = undecoded_;
    for (std::size_t i = 0; i < kRingLanes; ++i) {
      SegmentRingStats lane = lanes_[i]->stats();
      status.bytes += lane.bytes;
      if (lane.oldest_ns != 0 && (status.oldest_ns == 0 || lane.oldest_ns < status.oldest_ns)) {
        status.oldest_ns = lane.oldest_ns;
      }
      if (!lane.degraded.empty()) status.degraded.push_back(lane.degraded);
      status.lanes[i] = std::move(lane);
    }
    for (const std::string& what : {tap_->degraded(), policy_error_}) {
      if (!what.empty()) status.degraded.push_back(what);
    }
    for (const TapInterface& interface : status.interfaces) {
      if (interface.wanted && !interface.captured) {
        status.degraded.push_back("interface " + interface.name + ": " + interface.note);
      }
    }
    const MutexLock lock(&mutex_);
    status_ = std::move(status);
  }

  const RingConfig config_;
  const PacketDecoder decode_;

  // The ring's thread from Start() on.
  PacketJoin join_;
  ContactBook contacts_;
  FrozenSegments frozen_;
  std::array<std::unique_ptr<SegmentRing>, kRingLanes> lanes_;
  std::unique_ptr<PacketTap> tap_;
  std::unordered_map<ProcessId, PcapngProcess> processes_;
  std::deque<ProcessId> process_order_;  // as they came
  std::unordered_set<ProcessId> flagged_;
  std::map<std::uint32_t, SegmentInterface> interfaces_;  // of packets under way
  ClockPair clock_;
  nanoseconds polled_at_{};
  bool unwritten_ = false;
  std::uint64_t undecoded_ = 0;
  std::string policy_error_;
  const PacketTap::Sink on_packet_ = [this](const TapPacket& packet,
                                            const SegmentInterface& interface) {
    OnPacket(packet, interface);
  };
  const PacketJoin::Sink on_named_ = [this](const TapPacket& packet, std::uint8_t lane,
                                            const JoinedNames& names) {
    OnNamed(packet, lane, names);
  };

  UniqueFd wake_;
  mutable Mutex mutex_;
  std::vector<Item> queue_ CULPRIT_GUARDED_BY(mutex_);
  bool stopping_ CULPRIT_GUARDED_BY(mutex_) = false;
  std::uint64_t queue_dropped_ CULPRIT_GUARDED_BY(mutex_) = 0;
  RingStatus status_ CULPRIT_GUARDED_BY(mutex_);
  std::thread thread_;
};

PacketRing::PacketRing(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PacketRing::~PacketRing() = default;

Result<std::unique_ptr<PacketRing>> PacketRing::Start(const RingConfig& config,
                                                      PacketDecoder decode) {
  auto impl = std::make_unique<Impl>(config, std::move(decode));
  TRY_VOID(impl->Start());
  return std::unique_ptr<PacketRing>(new PacketRing(std::move(impl)));
}

void PacketRing::LearnFlow(RingFlow flow) { impl_->Offer(std::move(flow)); }
void PacketRing::LearnProcess(PcapngProcess process) { impl_->Offer(std::move(process)); }
void PacketRing::FlagProcess(ProcessId process, bool flagged) {
  impl_->Offer(FlagCommand{FlagCommand::What::kProcess, process, {}, {}, 0, flagged});
}
void PacketRing::FlagFlow(const Endpoint& a, const Endpoint& b, std::uint8_t protocol,
                          bool flagged) {
  impl_->Offer(FlagCommand{FlagCommand::What::kFlow, {}, a, b, protocol, flagged});
}
void PacketRing::FlagAddress(const IpAddress& address, bool flagged) {
  impl_->Offer(FlagCommand{FlagCommand::What::kAddress, {}, {address, 0}, {}, 0, flagged});
}
Result<FrozenResult> PacketRing::Freeze(std::string_view name, std::int64_t from_ns,
                                        std::int64_t to_ns) {
  return impl_->Freeze(name, from_ns, to_ns);
}
Result<FrozenResult> PacketRing::FreezeFor(std::string_view name, const PacketQuery& query) {
  return impl_->FreezeFor(name, query);
}
Result<std::vector<std::string>> PacketRing::FrozenNames() const { return impl_->FrozenNames(); }
Result<std::unique_ptr<PacketCursor>> PacketRing::ReadFrozen(std::string_view name,
                                                             const PacketQuery& query) const {
  return impl_->ReadFrozen(name, query);
}
Status PacketRing::Unfreeze(std::string_view name) { return impl_->Unfreeze(name); }
Result<QueryStats> PacketRing::Query(const PacketQuery& query,
                                     const std::function<bool(const StoredPacket&)>& sink,
                                     std::string_view frozen) {
  return impl_->Query(query, sink, frozen);
}
void PacketRing::Settle() { impl_->Settle(); }
RingStatus PacketRing::status() const { return impl_->status(); }

}  // namespace culprit
