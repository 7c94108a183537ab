// SPDX-License-Identifier: Apache-2.0
#include "agent/source/recording.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/crc32c.h"

namespace culprit {
namespace {

constexpr std::uint64_t kMagic = 0x31434552504c5543ULL;  // "CULPREC1" as bytes
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kMaxListEntries = 4096;
// Times past this (146 years) are damage: they would overflow where clocks are converted.
constexpr std::uint64_t kMaxTimeNs = 1ULL << 62;

void Put(std::string* out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    out->push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}
void PutText(std::string* out, std::string_view text) {
  Put(out, text.size(), 4);
  out->append(text);
}

// Reads fields from the front; after the first that does not fit everything is zero or empty and
// ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  std::uint64_t Number(std::size_t bytes) {
    const std::string_view taken = Bytes(bytes);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < taken.size(); ++i) {
      value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(taken[i])) << (8 * i);
    }
    return value;
  }
  std::string_view Bytes(std::size_t n) {
    if (!ok_ || n > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }
  std::string Text() { return std::string(Bytes(Number(4))); }
  std::vector<std::string> List() {
    std::vector<std::string> list;
    const std::uint64_t count = Number(4);
    if (count > kMaxListEntries) ok_ = false;
    for (std::uint64_t i = 0; ok_ && i < count; ++i) list.push_back(Text());
    return list;
  }
  BootTime Boot() { return BootTimeFromNs(Time()); }
  WallTime Wall() { return WallTimeFromNs(static_cast<std::int64_t>(Time())); }
  bool ok() const { return ok_; }
  bool finished() const { return ok_ && rest_.empty(); }

 private:
  std::uint64_t Time() {
    const std::uint64_t ns = Number(8);
    if (ns < kMaxTimeNs) return ns;
    ok_ = false;
    return 0;
  }

  std::string_view rest_;
  bool ok_ = true;
};

ClockSync SyncFrom(std::uint64_t value) {
  return value == 1 ? ClockSync::kSynced : value == 2 ? ClockSync::kUnsynced : ClockSync::kUnknown;
}

Error Malformed(std::string_view what) {
  return DataLoss("malformed " + std::string(what) + " in the recording");
}

}  // namespace

std::string EncodeRecordingHeader(const RecordingHeader& header) {
  std::string out;
  Put(&out, kMagic, 8);
  Put(&out, kVersion, 4);
  Put(&out, header.abi_version, 4);
  out.append(header.boot_id.AsBytes());
  Put(&out, ToNs(header.clock.boot), 8);
  Put(&out, static_cast<std::uint64_t>(ToNs(header.clock.wall)), 8);
  Put(&out, static_cast<std::uint64_t>(header.clock.sync), 1);
  Put(&out, header.owner_mode == "last_sender" ? 1 : header.owner_mode == "creator" ? 2 : 0, 1);
  out.resize(kRecordingHeaderBytes - 4, '\0');
  Put(&out, Crc32c(out), 4);
  return out;
}

Result<RecordingHeader> DecodeRecordingHeader(std::string_view bytes) {
  if (bytes.size() < kRecordingHeaderBytes) {
    return InvalidArgument("not a recording: shorter than its header");
  }
  Reader reader(bytes.substr(0, kRecordingHeaderBytes));
  if (reader.Number(8) != kMagic) {
    return InvalidArgument("not a recording of `culprit-agent run --record` (wrong first bytes)");
  }
  const std::uint64_t version = reader.Number(4);
  if (version != kVersion) {
    return InvalidArgument("recording of version " + std::to_string(version) +
                           "; this agent reads version " + std::to_string(kVersion));
  }
  RecordingHeader header;
  header.abi_version = static_cast<std::uint32_t>(reader.Number(4));
  TRY(header.boot_id, Uuid::FromBytes(reader.Bytes(16)));
  header.clock.boot = reader.Boot();
  header.clock.wall = reader.Wall();
  header.clock.sync = SyncFrom(reader.Number(1));
  const std::uint64_t owner_mode = reader.Number(1);
  header.owner_mode = owner_mode == 1 ? "last_sender" : owner_mode == 2 ? "creator" : "";
  reader.Bytes(10);
  const std::uint64_t crc = reader.Number(4);
  if (!reader.ok() || crc != Crc32c(bytes.substr(0, kRecordingHeaderBytes - 4))) {
    return DataLoss("the recording's header is damaged (checksum)");
  }
  if (header.abi_version != CULPRIT_ABI_VERSION) {
    return InvalidArgument("recording of kernel record version " +
                           std::to_string(header.abi_version) + "; this agent reads version " +
                           std::to_string(CULPRIT_ABI_VERSION));
  }
  return header;
}

bool AppendRecordingEntry(RecordingKind kind, std::string_view body, std::string* out) {
  if (body.size() > kMaxRecordingBodyBytes) return false;
  std::string head;
  Put(&head, body.size(), 4);
  Put(&head, static_cast<std::uint64_t>(kind), 2);
  Put(&head, 0, 2);
  const std::uint32_t crc = Crc32c(body, Crc32c(head));
  out->append(head);
  Put(out, crc, 4);
  out->append(body);
  return true;
}

RecordingEntryHead DecodeRecordingEntryHead(std::string_view bytes) {
  Reader reader(bytes.substr(0, kRecordingEntryHeadBytes));
  RecordingEntryHead head;
  head.length = static_cast<std::uint32_t>(reader.Number(4));
  const std::uint64_t kind = reader.Number(2);
  const std::uint64_t zero = reader.Number(2);
  head.crc = static_cast<std::uint32_t>(reader.Number(4));
  head.plausible =
      reader.ok() && zero == 0 && head.length <= kMaxRecordingBodyBytes && kind >= 1 && kind <= 7;
  if (head.plausible) head.kind = static_cast<RecordingKind>(kind);
  return head;
}

bool RecordingEntryIntact(std::string_view head, std::string_view body) {
  if (head.size() < kRecordingEntryHeadBytes) return false;
  return Crc32c(body, Crc32c(head.substr(0, 8))) == DecodeRecordingEntryHead(head).crc;
}

std::string EncodeClock(const ClockPair& clock) {
  std::string out;
  Put(&out, ToNs(clock.boot), 8);
  Put(&out, static_cast<std::uint64_t>(ToNs(clock.wall)), 8);
  Put(&out, static_cast<std::uint64_t>(clock.sync), 8);
  return out;
}

Result<ClockPair> DecodeClock(std::string_view body) {
  Reader reader(body);
  ClockPair clock;
  clock.boot = reader.Boot();
  clock.wall = reader.Wall();
  clock.sync = SyncFrom(reader.Number(8));
  if (!reader.finished()) return Malformed("clock");
  return clock;
}

std::string EncodeBootNs(BootTime at) {
  std::string out;
  Put(&out, ToNs(at), 8);
  return out;
}

Result<BootTime> DecodeBootNs(std::string_view body) {
  Reader reader(body);
  const BootTime at = reader.Boot();
  if (!reader.finished()) return Malformed("time");
  return at;
}

std::string EncodeExeHash(const ExeHashEvent& event) {
  std::string out;
  Put(&out, ToNs(event.at), 8);
  Put(&out, event.exe.dev_major, 8);
  Put(&out, event.exe.dev_minor, 8);
  Put(&out, event.exe.inode, 8);
  Put(&out, event.exe.size_bytes, 8);
  Put(&out, static_cast<std::uint64_t>(event.exe.ctime_ns), 8);
  PutText(&out, event.path);
  out.append(AsBytes(event.sha256));
  Put(&out, event.hashed ? 1 : 0, 8);
  Put(&out, event.opened_by.value(), 8);
  Put(&out, static_cast<std::uint64_t>(event.package.state), 8);
  PutText(&out, event.package.name);
  return out;
}

Result<ExeHashEvent> DecodeExeHash(std::string_view body) {
  Reader reader(body);
  ExeHashEvent event;
  event.at = reader.Boot();
  event.exe.dev_major = static_cast<std::uint32_t>(reader.Number(8));
  event.exe.dev_minor = static_cast<std::uint32_t>(reader.Number(8));
  event.exe.inode = reader.Number(8);
  event.exe.size_bytes = reader.Number(8);
  event.exe.ctime_ns = static_cast<std::int64_t>(reader.Number(8));
  event.path = reader.Text();
  const std::string_view digest = reader.Bytes(event.sha256.size());
  if (digest.size() == event.sha256.size())
    std::memcpy(event.sha256.data(), digest.data(), digest.size());
  event.hashed = reader.Number(8) != 0;
  event.opened_by = Tgid(static_cast<std::uint32_t>(reader.Number(8)));
  if (!reader.finished()) {  // older recordings end here
    const std::uint64_t state = reader.Number(8);
    if (state > static_cast<std::uint64_t>(PackageState::kListed)) return Malformed("package");
    event.package = {static_cast<PackageState>(state), reader.Text()};
  }
  if (!reader.finished()) return Malformed("executable hash");
  return event;
}

std::string EncodeProcessText(const ProcfsEvent& event) {
  std::string out;
  Put(&out, ToNs(event.at), 8);
  Put(&out, event.tgid.value(), 8);
  Put(&out, ToNs(event.start), 8);
  PutText(&out, event.exe);
  PutText(&out, event.cwd);
  const std::size_t count = std::min<std::size_t>(event.argv.size(), kMaxListEntries);
  Put(&out, count, 4);
  for (std::size_t i = 0; i < count; ++i) PutText(&out, event.argv[i]);
  PutText(&out, event.container_id);
  return out;
}

Result<ProcfsEvent> DecodeProcessText(std::string_view body) {
  Reader reader(body);
  ProcfsEvent event;
  event.at = reader.Boot();
  event.tgid = Tgid(static_cast<std::uint32_t>(reader.Number(8)));
  event.start = reader.Boot();
  event.exe = reader.Text();
  event.cwd = reader.Text();
  event.argv = reader.List();
  event.container_id = reader.Text();
  if (!reader.finished()) return Malformed("process text");
  return event;
}

std::string EncodeInterfaceCounters(const InterfaceCountersEvent& event) {
  std::string out;
  Put(&out, ToNs(event.at), 8);
  Put(&out, event.netns, 8);
  PutText(&out, event.name);
  for (const std::uint64_t n : {event.tx_bytes, event.tx_packets, event.rx_bytes, event.rx_packets})
    Put(&out, n, 8);
  return out;
}

Result<InterfaceCountersEvent> DecodeInterfaceCounters(std::string_view body) {
  Reader reader(body);
  InterfaceCountersEvent event;
  event.at = reader.Boot();
  event.netns = static_cast<std::uint32_t>(reader.Number(8));
  event.name = reader.Text();
  event.tx_bytes = reader.Number(8);
  event.tx_packets = reader.Number(8);
  event.rx_bytes = reader.Number(8);
  event.rx_packets = reader.Number(8);
  if (!reader.finished()) return Malformed("interface counters");
  return event;
}

std::string EncodeResync(const ResyncEvent& event) {
  std::string out;
  Put(&out, ToNs(event.at), 8);
  Put(&out, event.end ? 1 : 0, 8);
  Put(&out, event.sees_all ? 1 : 0, 8);
  return out;
}

Result<ResyncEvent> DecodeResync(std::string_view body) {
  Reader reader(body);
  ResyncEvent event;
  event.at = reader.Boot();
  event.end = reader.Number(8) != 0;
  event.sees_all = reader.Number(8) != 0;
  if (!reader.finished()) return Malformed("pass over all processes");
  return event;
}

}  // namespace culprit
