// SPDX-License-Identifier: Apache-2.0
#include "agent/capture_replay.h"

#include <netinet/in.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "agent/decode/packet_decoder.h"
#include "agent/names/name_text.h"
#include "common/hex.h"
#include "common/sha256.h"

namespace culprit {
namespace {

using std::chrono::seconds;

constexpr int kLinkRaw = 101;
// Boot time of the first packet: the host was up before.
constexpr BootTime kFirst = BootTimeFromNs(3'600'000'000'000);
constexpr seconds kTick(1);
constexpr auto kLastAnswers = std::chrono::seconds(3);  // after the last packet
constexpr std::size_t kMaxDamageLines = 100;
constexpr std::size_t kMaxHostAddresses = 64;

// The packet that an ICMP error quotes.
bool QuotedBy(const Packet& icmp, Packet* quoted) {
  const bool v4 = icmp.protocol == IPPROTO_ICMP && (icmp.icmp_type == 3 || icmp.icmp_type == 11);
  const bool v6 = icmp.protocol == IPPROTO_ICMPV6 && icmp.icmp_type >= 1 && icmp.icmp_type <= 4;
  if ((!v4 && !v6) || icmp.payload.empty()) return false;
  CapturedPacket inner;
  inner.link_type = kLinkRaw;
  inner.bytes = icmp.payload;
  inner.wire_bytes = static_cast<std::uint32_t>(inner.bytes.size());
  return DecodePacket(inner, *quoted) == PacketStatus::kOk;
}

// Zeek writes a connection when it is over.
std::int64_t EndOf(const ZeekRecord& record) {
  if (const auto* conn = std::get_if<ZeekConn>(&record)) {
    return conn->wall_ns + std::max<std::int64_t>(conn->duration_ns.value_or(0), 0);
  }
  return std::get<ZeekDns>(record).wall_ns;
}

std::string BaseName(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return path == "-" || name.empty() ? "capture" : name;
}

}  // namespace

CaptureReplay::CaptureReplay(CaptureReplayOptions options, UserEventSink events)
    : options_(std::move(options)),
      events_(std::move(events)),
      hosts_(options_.hosts, options_.processes),
      assembler_(hosts_, AssembleLimits{}, events_) {
  stats_ = options_.stats ? options_.stats : std::make_shared<CaptureReplayStats>();
  name_sink_ = [this](const Packet& packet, bool from_client, const Observation& what) {
    ObservationEvent event;
    event.at = now_;
    event.source = {packet.source, packet.source_port};
    event.destination = {packet.destination, packet.destination_port};
    event.protocol = packet.protocol;
    event.from_client = from_client;
    event.what = what;
    events_(Event(std::move(event)));
  };
}

Result<std::unique_ptr<CaptureReplay>> CaptureReplay::Open(CaptureReplayOptions options,
                                                           UserEventSink events) {
  const std::string path = options.path;
  std::unique_ptr<CaptureReplay> replay(new CaptureReplay(std::move(options), std::move(events)));
  if (auto captures = ListCaptures(path)) {
    replay->files_ = std::move(*captures);
  } else if (ZeekReader::Open(path) || VpcFlowConns::Open(path)) {
    replay->files_ = {path};
  } else {
    return std::move(captures).error();
  }
  TRY(const bool any, replay->Fetch());
  Sha256 hash;
  hash.Update("culprit capture");
  hash.Update({reinterpret_cast<const char*>(&replay->pending_ns_), sizeof(replay->pending_ns_)});
  if (any && replay->capture_) hash.Update(replay->packet_.bytes);
  TRY(replay->boot_id_, Uuid::FromBytes(AsBytes(hash.Finish()).substr(0, 16)));
  replay->first_wall_ns_ = replay->pending_ns_;
  replay->now_ = kFirst;
  replay->next_tick_ = kFirst + kTick;
  return replay;
}

Result<bool> CaptureReplay::NextFile() {
  NoteEndOfFile();
  capture_.reset();
  zeek_.reset();
  vpc_.reset();
  if (next_file_ == files_.size()) return false;
  const std::string& path = files_[next_file_++];
  ++stats_->files;
  auto capture = CaptureReader::Open(path);
  if (capture) {
    capture_ = std::move(*capture);
    capture_->SetOnProcess([this](const PcapngProcess& process) { OnProcess(process); });
    return true;
  }
  auto log = ZeekReader::Open(path);
  if (log) {
    zeek_ = std::move(*log);
    return true;
  }
  auto flows = VpcFlowConns::Open(path);
  if (!flows) return std::move(capture).error();
  vpc_ = std::move(*flows);
  return true;
}

void CaptureReplay::NoteEndOfFile() {
  const auto note = [&](std::string line) {
    spdlog::warn("capture {}", line);
    ++stats_->damaged_places;
    if (stats_->damage.size() < kMaxDamageLines) stats_->damage.push_back(std::move(line));
  };
  if (capture_) {
    const CaptureStats& stats = capture_->stats();
    stats_->bytes += stats.wire_bytes;
    for (const CaptureDamage& damage : stats.damage) {
      note(files_[next_file_ - 1] + ": " + std::to_string(damage.bytes) + " bytes at offset " +
           std::to_string(damage.offset) + " skipped: " + damage.reason);
    }
  }
  if (zeek_) {
    for (const ZeekBadLine& bad : zeek_->stats().bad) {
      note(files_[next_file_ - 1] + ":" + std::to_string(bad.line) + ": " + bad.reason);
    }
    if (!zeek_->stats().cut_short.empty()) {
      note(files_[next_file_ - 1] + ": " + zeek_->stats().cut_short);
    }
  }
  if (vpc_) {
    for (const std::string& bad : vpc_->stats().bad) note(files_[next_file_ - 1] + ":" + bad);
    if (!vpc_->stats().cut_short.empty()) {
      note(files_[next_file_ - 1] + ": " + vpc_->stats().cut_short);
    }
  }
}

Result<bool> CaptureReplay::Fetch() {
  while (true) {
    if (capture_) {
      TRY(pending_, capture_->Next(packet_));
      pending_ns_ = packet_.wall_ns;
    } else if (zeek_) {
      TRY(pending_, zeek_->Next(record_));
      pending_ns_ = EndOf(record_);
    } else if (vpc_) {
      pending_ = vpc_->Next(&record_.emplace<ZeekConn>());
      pending_ns_ = EndOf(record_);
    }
    if (pending_) return true;
    TRY(const bool more, NextFile());
    if (!more) return false;
  }
}

BootTime CaptureReplay::BootOf(std::int64_t wall_ns) const {
  return kFirst + std::chrono::nanoseconds(std::max<std::int64_t>(wall_ns - first_wall_ns_, 0));
}

ClockPair CaptureReplay::ReadClock() {
  const auto since = (now_ - kFirst) / std::chrono::nanoseconds(1);
  return {now_, WallTimeFromNs(first_wall_ns_ + since), ClockSync::kUnknown};
}

SourceFidelity CaptureReplay::fidelity() const { return {{}, "creator", "capture"}; }

std::optional<HostFacts> CaptureReplay::host() const {
  HostFacts host;
  host.hostname = options_.name.empty() ? BaseName(options_.path) : options_.name;
  host.identity_source = "capture";
  host.instance_id = "capture-" + HexEncode(boot_id_.AsBytes().substr(0, 8));
  const auto& seen = hosts_.seen();
  host.addresses.assign(seen.begin(), seen.begin() + static_cast<std::ptrdiff_t>(
                                                         std::min(seen.size(), kMaxHostAddresses)));
  return host;
}

void CaptureReplay::OnProcess(const PcapngProcess& process) {
  ExecEvent exec;
  exec.at = now_;
  exec.key = {process.tgid, process.start, process.exec_id};
  if (!processes_.try_emplace(process.id.value(), exec.key).second) return;
  if (const auto parent = processes_.find(process.parent.value()); parent != processes_.end()) {
    exec.parent = parent->second;
  }
  exec.uid = exec.euid = process.uid;
  exec.path = process.exe;
  exec.comm = process.exe.substr(process.exe.rfind('/') + 1);
  if (!process.arguments.empty()) exec.argv = {process.arguments};
  exec.from_iterator = true;
  events_(Event(std::move(exec)));
}

void CaptureReplay::Take(const CapturedPacket& captured) {
  ++stats_->packets;
  Packet packet;
  const PacketStatus status = DecodePacket(captured, packet);
  ++stats_->by_status[static_cast<std::size_t>(status)];
  if (status == PacketStatus::kUnknownLink) ++stats_->unknown_links[captured.link_type];
  if (status != PacketStatus::kOk) return;
  const auto owner = processes_.find(captured.process);
  Packet quoted;
  const bool quotes = QuotedBy(packet, &quoted);
  assembler_.On(packet, now_, owner == processes_.end() ? nullptr : &owner->second,
                quotes ? &quoted : nullptr);
  names_.Observe(packet, static_cast<std::int64_t>(ToNs(now_)), name_sink_);
}

void CaptureReplay::Take(const ZeekRecord& record) {
  ++stats_->zeek_records;
  if (const auto* conn = std::get_if<ZeekConn>(&record)) {
    assembler_.OnConnection(*conn, std::min(BootOf(conn->wall_ns), now_), now_);
    return;
  }
  const auto& dns = std::get<ZeekDns>(record);
  DnsMessage message;
  message.name = NameText(dns.query);
  message.type = dns.qtype.value_or(0);
  message.rcode = static_cast<std::uint8_t>(dns.rcode.value_or(0));
  message.response = dns.rcode.has_value();
  for (std::size_t i = 0; i < dns.answers.size(); ++i) {
    DnsAnswer answer;
    answer.name = message.name;
    if (i < dns.ttl_ns.size()) {
      answer.ttl_s = static_cast<std::uint32_t>(
          std::clamp<std::int64_t>(dns.ttl_ns[i] / 1'000'000'000, 0, 0x7fffffff));
    }
    if (auto address = IpAddress::Parse(dns.answers[i])) {
      answer.address = *address;
    } else {
      answer.target = NameText(dns.answers[i]);
    }
    message.answers.push_back(std::move(answer));
  }
  ObservationEvent event{now_,         dns.responder,     dns.originator,
                         dns.protocol, !message.response, std::move(message)};
  if (event.from_client) std::swap(event.source, event.destination);
  events_(Event(std::move(event)));
}

Status CaptureReplay::Start(const RecordSink& /*sink*/) { return Ok(); }

Result<bool> CaptureReplay::Poll(std::chrono::milliseconds /*timeout*/,
                                 const RecordSink& /*sink*/) {
  while (pending_) {
    const BootTime at = BootOf(pending_ns_);
    if (at >= next_tick_) {
      now_ = next_tick_;
      assembler_.Tick(now_);
      // Silence has no seconds of its own: nothing happens before the next timer or packet.
      const BootTime due = std::min(assembler_.due().value_or(at), at);
      next_tick_ = std::max(now_ + kTick, BootTime(std::chrono::floor<seconds>(due)));
      return true;
    }
    if (capture_) {
      if (pending_ns_ < before_ns_) ++stats_->clock_back;
      before_ns_ = pending_ns_;
    }
    now_ = std::max(now_, at);
    if (capture_) {
      Take(packet_);
    } else {
      Take(record_);
    }
    TRY_VOID(Fetch());
  }
  // What got no answer is told so only after some time, as on a live host.
  if (!last_tick_) last_tick_ = now_ + kLastAnswers;
  if (next_tick_ <= *last_tick_) {
    now_ = next_tick_;
    assembler_.Tick(now_);
    next_tick_ += kTick;
    return true;
  }
  assembler_.Finish(now_);
  return false;
}

// The loop asks once a second of the capture, which is when Poll() has ticked.
Status CaptureReplay::Sweep(const RecordSink& /*sink*/) { return Ok(); }

}  // namespace culprit
