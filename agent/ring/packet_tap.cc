// SPDX-License-Identifier: Apache-2.0
#include "agent/ring/packet_tap.h"

#include <sys/epoll.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "agent/ring/link_watch.h"
#include "agent/ring/tap_handle.h"
#include "common/time.h"

namespace culprit {
namespace {

// Of one handle. libpcap needs blocks of 256 KiB.
constexpr std::uint64_t kMinHandleBytes = 512U << 10, kMaxHandleBytes = 4U << 20;
constexpr std::size_t kMaxListed = 64;  // interfaces, gone ones included
constexpr auto kRetry = std::chrono::seconds(5);

}  // namespace

class PacketTap::Impl {
 public:
  Impl(PacketTapOptions options, LinkWatch links)
      : options_(std::move(options)), links_(std::move(links)) {}

  Status Start() {
    epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return ErrnoError("epoll");
    Watch(links_.fd());
    if (options_.use_bpf) {
      auto filter = TapFilter::Load(options_.policy);
      if (filter) {
        filter_ = std::move(*filter);
      } else {
        degraded_ = "headers of all packets only: " + filter.error().message;
      }
    } else {
      degraded_ = "headers of all packets only: the kernel program is switched off";
    }
    return Follow();
  }

  int fd() const { return epoll_.get(); }

  void Poll(const Sink& sink) {
    const BootTime now = ReadBootClock();
    if (links_.TakeNotices() || (incomplete_ && now >= retry_at_)) {
      retry_at_ = now + kRetry;
      static_cast<void>(Follow());
    }
    for (Captured& captured : captured_) {
      if (captured.handles.empty()) continue;
      Status status = Ok();
      for (const auto& handle : captured.handles) {
        if (status) status = handle->Dispatch(captured.interface, sink);
      }
      if (!status) {
        Close(&captured, status.error().message);
        incomplete_ = true;
      }
    }
  }

  std::vector<TapInterface> Interfaces() {
    std::vector<TapInterface> all;
    for (Captured& captured : captured_) {
      Refresh(&captured);
      all.push_back(captured.shown);
    }
    return all;
  }

  std::vector<std::pair<std::uint32_t, PcapngStatistics>> Statistics() const {
    std::vector<std::pair<std::uint32_t, PcapngStatistics>> all;
    const std::int64_t now = ToNs(ReadWallClock());
    for (const Captured& captured : captured_) {
      if (captured.handles.empty()) continue;
      PcapngStatistics statistics;
      statistics.wall_ns = now;
      statistics.start_ns = captured.since_ns;
      statistics.received = captured.shown.received;
      statistics.interface_drops = captured.shown.if_dropped;
      statistics.os_drops = captured.shown.dropped;
      all.emplace_back(captured.interface.id, statistics);
    }
    return all;
  }

  TapFilter* filter() { return filter_.get(); }
  const TapFilter* filter() const { return filter_.get(); }
  const std::string& degraded() const { return degraded_; }

 private:
  // An interface that is or was captured, or could not be.
  struct Captured {
    SegmentInterface interface;
    std::vector<std::unique_ptr<TapHandle>> handles;
    TapInterface shown;
    HandleStats before;  // of handles that are closed
    std::int64_t since_ns = 0;
  };

  bool Wanted(const Link& link) const {
    if (!link.up) return false;
    if (!options_.interfaces.empty()) {
      return std::find(options_.interfaces.begin(), options_.interfaces.end(), link.name) !=
             options_.interfaces.end();
    }
    if (link.loopback) return options_.loopback || filter_ != nullptr;
    return !link.enslaved;
  }

  // A stub resolver answers on loopback; of the rest there, nobody but a local process is the other
  // end.
  bool DnsAlone(const Link& link) const {
    return link.loopback && !options_.loopback && options_.interfaces.empty();
  }

  // Opens what has come and closes what has gone.
  Status Follow() {
    TRY(const std::vector<Link> links, links_.List());
    incomplete_ = false;
    for (Captured& captured : captured_) {
      const bool there = std::any_of(links.begin(), links.end(), [&](const Link& link) {
        return link.index == captured.shown.ifindex && link.name == captured.shown.name &&
               Wanted(link);
      });
      captured.shown.wanted = there;
      if (!there && !captured.handles.empty()) Close(&captured, "gone or down");
    }
    Status refused = Ok();
    for (const Link& link : links) {
      if (!Wanted(link)) continue;
      Captured& captured = Find(link);
      captured.shown.wanted = true;
      if (!captured.handles.empty()) continue;
      Status opened = OpenHandles(link, &captured);
      if (opened) continue;
      captured.shown.note = opened.error().message;
      incomplete_ = true;
      if (opened.error().code == Code::kPermissionDenied) refused = std::move(opened);
    }
    Forget();
    return refused;
  }

  Captured& Find(const Link& link) {
    for (Captured& captured : captured_) {
      if (captured.shown.ifindex == link.index && captured.shown.name == link.name) {
        return captured;
      }
    }
    Captured& captured = captured_.emplace_back();
    captured.shown.name = link.name;
    captured.shown.ifindex = link.index;
    return captured;
  }

  Status OpenHandles(const Link& link, Captured* captured) {
    std::vector<PacketDirection> directions = {PacketDirection::kIn, PacketDirection::kOut};
    if (link.loopback) directions = {PacketDirection::kUnknown};
    // A quarter of what is left to each keeps something for those that come later.
    const std::uint64_t left = options_.buffer_bytes - std::min(options_.buffer_bytes, used_bytes_);
    const std::uint64_t each =
        DnsAlone(link) ? kMinHandleBytes : std::clamp(left / 8, kMinHandleBytes, kMaxHandleBytes);
    if (each * directions.size() > left) {
      return MakeError(Code::kResourceExhausted, "no room left for its buffers");
    }
    std::vector<std::unique_ptr<TapHandle>> handles;
    for (const PacketDirection direction : directions) {
      TRY(auto handle,
          TapHandle::Open(link.name, direction, each, options_, filter_.get(), DnsAlone(link)));
      handles.push_back(std::move(handle));
    }
    const int link_type = handles.front()->link_type();
    // Another link type, another interface to the reader of a segment.
    if (captured->since_ns == 0 || captured->interface.description.link_type != link_type) {
      captured->interface.id = next_id_++;
      captured->interface.description.name = link.name;
      captured->interface.description.link_type = link_type;
      captured->since_ns = ToNs(ReadWallClock());
    }
    for (const auto& handle : handles) Watch(handle->fd());
    captured->handles = std::move(handles);
    captured->shown.captured = true;
    captured->shown.note.clear();
    captured->shown.buffer_bytes = each * directions.size();
    used_bytes_ += captured->shown.buffer_bytes;
    return Ok();
  }

  void Close(Captured* captured, const std::string& why) {
    Refresh(captured);
    captured->before = {captured->shown.received, captured->shown.dropped,
                        captured->shown.if_dropped};
    used_bytes_ -= captured->shown.buffer_bytes;
    captured->handles.clear();  // a closed descriptor leaves the epoll by itself
    captured->shown.captured = false;
    captured->shown.buffer_bytes = 0;
    captured->shown.note = why;
  }

  void Forget() {
    while (captured_.size() > kMaxListed) {
      const auto gone = std::find_if(captured_.begin(), captured_.end(),
                                     [](const Captured& c) { return c.handles.empty(); });
      if (gone == captured_.end()) return;
      captured_.erase(gone);
    }
  }

  static void Refresh(Captured* captured) {
    if (captured->handles.empty()) return;
    HandleStats sum = captured->before;
    std::uint64_t if_dropped = 0;
    for (const auto& handle : captured->handles) {
      const HandleStats one = handle->stats();
      sum.received += one.received;
      sum.dropped += one.dropped;
      if_dropped = std::max(if_dropped, one.if_dropped);  // the interface's own, told to each
    }
    captured->shown.received = sum.received;
    captured->shown.dropped = sum.dropped;
    captured->shown.if_dropped = sum.if_dropped + if_dropped;
  }

  void Watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }

  PacketTapOptions options_;
  LinkWatch links_;
  UniqueFd epoll_;
  std::unique_ptr<TapFilter> filter_;
  std::deque<Captured> captured_;
  std::uint32_t next_id_ = 1;
  std::uint64_t used_bytes_ = 0;
  bool incomplete_ = false;  // something wanted is not captured: try again
  BootTime retry_at_;
  std::string degraded_;
};

PacketTap::PacketTap(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PacketTap::~PacketTap() = default;

Result<std::unique_ptr<PacketTap>> PacketTap::Open(const PacketTapOptions& options) {
  TRY(LinkWatch links, LinkWatch::Open());
  auto impl = std::make_unique<Impl>(options, std::move(links));
  TRY_VOID(impl->Start());
  return std::unique_ptr<PacketTap>(new PacketTap(std::move(impl)));
}

int PacketTap::fd() const { return impl_->fd(); }
void PacketTap::Poll(const Sink& sink) { impl_->Poll(sink); }

Status PacketTap::SetFlow(const Endpoint& a, const Endpoint& b, std::uint8_t protocol,
                          FlowPolicy policy) {
  return impl_->filter() != nullptr ? impl_->filter()->SetFlow(a, b, protocol, policy) : Ok();
}
Status PacketTap::SetAddress(const IpAddress& address, FlowPolicy policy) {
  return impl_->filter() != nullptr ? impl_->filter()->SetAddress(address, policy) : Ok();
}

std::vector<TapInterface> PacketTap::interfaces() { return impl_->Interfaces(); }
std::vector<std::pair<std::uint32_t, PcapngStatistics>> PacketTap::statistics() const {
  return impl_->Statistics();
}
TapCounters PacketTap::counters() const {
  return impl_->filter() != nullptr ? impl_->filter()->counters() : TapCounters{};
}
const std::string& PacketTap::degraded() const { return impl_->degraded(); }

}  // namespace culprit
