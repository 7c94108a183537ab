// SPDX-License-Identifier: Apache-2.0
#include "agent/parser/parser_link.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "agent/process/backoff.h"
#include "agent/process/child_process.h"
#include "common/log.h"

namespace culprit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using SteadyClock = std::chrono::steady_clock;

constexpr milliseconds kBatchWait{50};
constexpr int kRepliesPerPump = 64;
constexpr seconds kLongLife{60};  // a parser that lived so long is restarted without delay

bool MayHoldName(const Packet& packet) {
  if (packet.fragment) return false;
  if (packet.protocol == IPPROTO_UDP) return !packet.payload.empty();
  constexpr std::uint8_t kEdges = kTcpSyn | kTcpFin | kTcpRst;
  return packet.protocol == IPPROTO_TCP &&
         (!packet.payload.empty() || (packet.tcp_flags & kEdges) != 0);
}

class ParserLinkImpl final : public ParserLink {
 public:
  explicit ParserLinkImpl(const ParserOptions& options) : options_(options) {}

  Status Open() {
    epoll_.Reset(epoll_create1(EPOLL_CLOEXEC));
    timer_.Reset(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!epoll_ || !timer_) return ErrnoError("epoll or timer");
    Watch(timer_.get(), EPOLLIN);
    return Spawn();
  }

  void Offer(const Packet& packet, BootTime at) override;
  int poll_fd() const override { return epoll_.get(); }
  void Pump(const Sink& sink) override;
  ParserStatus status() const override {
    ParserStatus out = status_;
    out.pid = process_.pid();
    return out;
  }

 private:
  Status Spawn();
  void ReapAndRestart(SteadyClock::time_point now);
  void OnParserGone(const std::string& how);
  void EndParser(const std::string& how);
  void OnBadMessage();
  void OnLinkClosed();
  void Receive(const Sink& sink);
  void TakeReply(std::string_view datagram, const Sink& sink);
  void Send();
  void Watch(int fd, std::uint32_t events);
  void SetTimer();
  std::uint64_t in_flight() const { return sent_ - status_.report.samples; }

  ParserOptions options_;
  UniqueFd epoll_, timer_, socket_;
  ChildProcess process_;
  Backoff backoff_;
  SteadyClock::time_point started_;
  SampleBatch batch_;
  std::string reply_ = std::string(kMaxParserDatagram, '\0');
  std::uint64_t sent_ = 0;  // samples, to the parser that runs
  bool full_ = false;       // the socket, as of the last attempt
  std::optional<SteadyClock::time_point> send_at_, answer_by_, restart_at_;
  std::optional<SteadyClock::time_point> timer_at_;  // what the timer is set to
  ParserStatus status_;
};

Status ParserLinkImpl::Spawn() {
  TRY(auto pair, MakeLinkPair());
  TRY_VOID(process_.Start(options_.program, {options_.user}, pair.second.get()));
  socket_ = std::move(pair.first);
  Watch(socket_.get(), EPOLLIN);
  if (process_.pid_fd() >= 0) Watch(process_.pid_fd(), EPOLLIN);
  started_ = SteadyClock::now();
  sent_ = 0;
  full_ = false;
  status_.report = {};
  return Ok();
}

// ---- To the parser ----

void ParserLinkImpl::Offer(const Packet& packet, BootTime at) {
  if (!MayHoldName(packet)) return;
  ++status_.offered;
  bool added = socket_ && batch_.Add(packet, at);
  if (socket_ && !added && !full_) {
    Send();
    added = socket_ && batch_.Add(packet, at);
  }
  if (!added) {
    ++status_.dropped;
    return;
  }
  if (send_at_) return;
  send_at_ = SteadyClock::now() + kBatchWait;
  SetTimer();
}

void ParserLinkImpl::Send() {
  if (batch_.count() == 0) return;
  const std::string_view bytes = batch_.bytes();
  const ssize_t sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  const bool full = sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == EINTR);
  if (full != full_) {
    full_ = full;
    Watch(socket_.get(), std::uint32_t{EPOLLIN} | (full ? std::uint32_t{EPOLLOUT} : 0));
  }
  if (full) return;
  if (sent < 0) return OnLinkClosed();
  if (in_flight() == 0) answer_by_ = SteadyClock::now() + options_.patience;
  sent_ += batch_.count();
  batch_.Clear();
  send_at_.reset();
}

// ---- From the parser ----

void ParserLinkImpl::Pump(const Sink& sink) {
  std::uint64_t ticks = 0;
  if (read(timer_.get(), &ticks, sizeof ticks) == sizeof ticks) timer_at_.reset();
  // What a parser that has ended said before counts.
  Receive(sink);
  const auto now = SteadyClock::now();
  ReapAndRestart(now);
  if (socket_ && (full_ || (send_at_ && now >= *send_at_))) Send();
  SetTimer();
}

// The parser has fewer rights than this process, and reads what attackers write: a message that
// makes no sense ends it, never us.
void ParserLinkImpl::Receive(const Sink& sink) {
  for (int i = 0; i < kRepliesPerPump && socket_; ++i) {
    const ssize_t n = recv(socket_.get(), reply_.data(), reply_.size(), MSG_DONTWAIT | MSG_TRUNC);
    // Told once to who writes to a process that has ended; what that said before comes behind it.
    if (n < 0 && errno == ECONNRESET) continue;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return OnLinkClosed();
    const auto size = static_cast<std::size_t>(n);
    if (size > reply_.size()) return OnBadMessage();
    TakeReply(std::string_view(reply_).substr(0, size), sink);
  }
}

void ParserLinkImpl::TakeReply(std::string_view datagram, const Sink& sink) {
  std::optional<ParserReply> reply = ReadReply(datagram);
  const bool right =
      reply && reply->report.samples >= status_.report.samples && reply->report.samples <= sent_;
  if (!right) return OnBadMessage();
  status_.processed += reply->report.samples - status_.report.samples;
  status_.report = reply->report;
  answer_by_.reset();
  if (in_flight() > 0) answer_by_ = SteadyClock::now() + options_.patience;
  const BootTime now = ReadBootClock();
  for (ObservationEvent& event : reply->observations) {
    event.at = std::min(event.at, now);
    ++status_.observations;
    sink(std::move(event));
  }
}

// ---- Its life ----

void ParserLinkImpl::ReapAndRestart(SteadyClock::time_point now) {
  std::string how;
  if (process_.Ended(&how)) OnParserGone(how);
  if (answer_by_ && now >= *answer_by_) EndParser("does not answer");
  if (!restart_at_ || now < *restart_at_) return;
  restart_at_.reset();
  ++status_.restarts;
  if (const Status status = Spawn(); !status) OnParserGone(status.error().message);
}

void ParserLinkImpl::EndParser(const std::string& how) {
  process_.Kill();
  OnParserGone(how);
}

void ParserLinkImpl::OnBadMessage() {
  ++status_.bad_messages;
  EndParser("sent what is no reply");
}

// The end of the process follows, and says how it ended.
void ParserLinkImpl::OnLinkClosed() {
  socket_.Reset();
  answer_by_ = SteadyClock::now() + options_.patience;
}

void ParserLinkImpl::OnParserGone(const std::string& how) {
  socket_.Reset();
  status_.dropped += in_flight() + batch_.count();
  sent_ = 0;
  status_.report = {};
  batch_.Clear();
  send_at_.reset();
  answer_by_.reset();
  status_.last_error = "the parser " + how;
  if (SteadyClock::now() - started_ > kLongLife) backoff_.Reset();
  const milliseconds delay = backoff_.Next(Random32());
  spdlog::warn("parser gone how=\"{}\" restart_in_ms={}", how, delay.count());
  restart_at_ = SteadyClock::now() + delay;
  SetTimer();
}

void ParserLinkImpl::Watch(int fd, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) != 0) {
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
  }
}

// A timer that rings too early costs one call of Pump(), so it is only ever set to an earlier time.
void ParserLinkImpl::SetTimer() {
  std::optional<SteadyClock::time_point> next;
  for (const auto& due : {full_ ? std::nullopt : send_at_, answer_by_, restart_at_}) {
    if (due && (!next || *due < *next)) next = due;
  }
  if (!next || (timer_at_ && *timer_at_ <= *next)) return;
  timer_at_ = next;
  // Not zero, which would stop the timer.
  const auto wait = std::max<SteadyClock::duration>(*next - SteadyClock::now(), milliseconds(1));
  const auto whole = std::chrono::duration_cast<seconds>(wait);
  itimerspec spec{};
  spec.it_value.tv_sec = whole.count();
  spec.it_value.tv_nsec = std::chrono::nanoseconds(wait - whole).count();
  timerfd_settime(timer_.get(), 0, &spec, nullptr);
}

}  // namespace

Result<std::unique_ptr<ParserLink>> ParserLink::Start(const ParserOptions& options) {
  if (access(options.program.c_str(), X_OK) != 0) {
    return ErrnoError("the parser program " + options.program +
                      " can not be run (is it installed beside culprit-agent?)");
  }
  auto link = std::make_unique<ParserLinkImpl>(options);
  TRY_VOID(link->Open());
  return link;
}

}  // namespace culprit
