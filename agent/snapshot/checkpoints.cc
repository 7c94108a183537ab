// SPDX-License-Identifier: Apache-2.0
#include "agent/snapshot/checkpoints.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/packet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "agent/snapshot/checkpoint_rows.h"
#include "agent/snapshot/netlink_dump.h"
#include "agent/snapshot/process_text.h"
#include "agent/snapshot/sock_diag.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/number.h"
#include "common/time.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr std::size_t kModules = std::size_t{1} << 20;
constexpr std::size_t kMaxPrograms = 4'096;
constexpr std::size_t kFiles = 4;  // so many parts of the bytes
// Descriptors that are looked at for the owners of new sockets, in one checkpoint: what is left has
// its turn in the next.
constexpr std::size_t kMaxDescriptors = 20'000;
constexpr int kMaxSameTime = 1'000;
constexpr std::string_view kEnd = ".jsonl", kCut = "{\"checkpoint\":\"cut\"}\n";

struct DirectoryClose {
  void operator()(DIR* directory) const { closedir(directory); }
};
using Directory = std::unique_ptr<DIR, DirectoryClose>;

// As /proc has them, whose descriptors are looked at there.
std::vector<std::uint32_t> Pids() {
  std::vector<std::uint32_t> pids;
  const Directory directory(opendir("/proc"));
  while (const dirent* entry = directory ? readdir(directory.get()) : nullptr) {
    if (const auto pid = AsNumber<std::uint32_t>(entry->d_name)) pids.push_back(*pid);
  }
  return pids;
}

std::uint64_t ThreadCpuUs() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  std::uint64_t us = 0;
  for (const timeval& time : {usage.ru_utime, usage.ru_stime})
    us += static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
          static_cast<std::uint64_t>(time.tv_usec);
  return us;
}

// The sockets of this network namespace, and which process has each open. Remembers owners, so that
// only new sockets cost a look at descriptors.
class SocketTable {
 public:
  void Add(CheckpointRows* rows) {
    std::vector<std::pair<Row, std::uint64_t>> sockets;
    ForEachInetRequest([&](inet_diag_req_v2 request) {
      const std::uint8_t protocol = request.sdiag_protocol;
      // Those that somebody has open: what is about to end has no owner, and changes all the time.
      request.idiag_states = protocol != IPPROTO_TCP
                                 ? ~0U
                                 : 1U << TCP_LISTEN | 1U << TCP_ESTABLISHED | 1U << TCP_SYN_SENT |
                                       1U << TCP_CLOSE_WAIT;
      Read(request, &sockets, [protocol](std::string_view body, std::uint64_t* inode) {
        return InetSocketRow(body, protocol, inode);
      });
    });
    packet_diag_req of_packet{};
    of_packet.sdiag_family = AF_PACKET;
    of_packet.pdiag_show = PACKET_SHOW_INFO;
    Read(of_packet, &sockets, PacketSocketRow);
    FindOwners(sockets);
    for (const auto& [row, inode] : sockets) rows->push_back(SocketLine(row, owners_[inode]));
  }

 private:
  template <class Request, class MakeRow>
  static void Read(const Request& request, std::vector<std::pair<Row, std::uint64_t>>* out,
                   MakeRow make_row) {
    const Status read =
        NetlinkDump(NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, request, [&](std::string_view bytes) {
          ForEachMessage(bytes, [&](std::uint16_t type, std::string_view body) {
            std::uint64_t inode = 0;
            if (type != SOCK_DIAG_BY_FAMILY || out->size() >= Checkpoints::kMaxRows) return;
            Row row = make_row(body, &inode);
            if (!row.empty()) out->emplace_back(std::move(row), inode);
          });
          return out->size() < Checkpoints::kMaxRows;
        });
    static_cast<void>(read);  // a kind that this kernel cannot list; the snapshot itself says so
  }

  void FindOwners(const std::vector<std::pair<Row, std::uint64_t>>& sockets) {
    const std::vector<std::uint32_t> pids = Pids();
    const std::unordered_set<std::uint32_t> live(pids.begin(), pids.end());
    std::unordered_map<std::uint64_t, std::uint32_t> known;
    bool missing = false;
    for (const auto& [row, inode] : sockets) {
      const auto owner = owners_.find(inode);
      const bool still =
          owner != owners_.end() && (owner->second == 0 || live.contains(owner->second));
      known[inode] = still ? owner->second : 0;
      missing |= !still && inode != 0;
    }
    owners_ = std::move(known);
    if (missing || unfinished_) LookAtDescriptors(pids);
  }

  // Goes on behind the process at which the last look ended.
  void LookAtDescriptors(std::vector<std::uint32_t> pids) {
    std::sort(pids.begin(), pids.end());
    const auto from = std::upper_bound(pids.begin(), pids.end(), last_pid_);
    std::rotate(pids.begin(), from, pids.end());
    std::size_t looked = 0;
    unfinished_ = false;
    for (const std::uint32_t pid : pids) {
      if (looked >= kMaxDescriptors) {
        unfinished_ = true;
        return;
      }
      last_pid_ = pid;
      const std::string path = "/proc/" + std::to_string(pid) + "/fd";
      const Directory directory(opendir(path.c_str()));
      if (!directory) continue;
      while (const dirent* entry = readdir(directory.get())) {
        if (++looked >= 2 * kMaxDescriptors) break;  // of one process alone
        const auto link = ReadLinkAt(dirfd(directory.get()), entry->d_name);
        const auto inode = link ? SocketInode(*link) : std::nullopt;
        const auto owner = inode ? owners_.find(*inode) : owners_.end();
        if (owner != owners_.end() && owner->second == 0) owner->second = pid;
      }
    }
  }

  std::unordered_map<std::uint64_t, std::uint32_t> owners_;  // by inode; 0: not known
  std::uint32_t last_pid_ = 0;
  bool unfinished_ = false;
};

// Ids of programs are not used again: each is asked about once.
class ProgramTable {
 public:
  void Add(CheckpointRows* rows) {
    std::map<std::uint32_t, std::string> now;
    std::uint32_t id = 0;
    while (now.size() < kMaxPrograms && bpf_prog_get_next_id(id, &id) == 0) {
      const auto known = lines_.find(id);
      std::string line = known != lines_.end() ? known->second : Ask(id);
      if (!line.empty()) now.emplace(id, std::move(line));
    }
    lines_ = std::move(now);
    for (const auto& [program, line] : lines_) rows->push_back(line);
  }

 private:
  static std::string Ask(std::uint32_t id) {
    const UniqueFd fd(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    std::uint32_t size = sizeof info;
    if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return {};
    return ProgramLine(id, info.type, {info.name, strnlen(info.name, sizeof info.name)},
                       HexEncode({reinterpret_cast<const char*>(info.tag), sizeof info.tag}),
                       info.created_by_uid);
  }
  std::map<std::uint32_t, std::string> lines_;
};

}  // namespace

class Checkpoints::Impl {
 public:
  explicit Impl(CheckpointOptions options) : options_(std::move(options)) {}
  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  Status Start() {
    TRY_VOID(MakeDirectories(options_.directory, 0700));
    thread_ = std::thread([this] { Run(); });
    return Ok();
  }

  bool Take(std::vector<CheckpointProcess> processes) {
    const std::lock_guard lock(mutex_);
    if (next_) return false;
    next_ = std::move(processes);
    changed_.notify_all();
    return true;
  }

  std::string problem() const {
    const std::lock_guard lock(mutex_);
    return problem_;
  }
  std::atomic<std::uint64_t> taken{0}, unchanged{0}, cpu_us{0};

 private:
  void Run() {
    static_cast<void>(setpriority(PRIO_PROCESS, 0, 10));  // of this thread
    for (;;) {
      std::vector<CheckpointProcess> processes;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || next_; });
        if (stopping_) return;
        processes = std::move(*next_);
      }
      const Status made = Make(processes);
      const std::lock_guard lock(mutex_);
      cpu_us = ThreadCpuUs();
      ++taken;
      next_.reset();
      problem_ = made ? "" : made.error().message;
    }
  }

  Status Make(const std::vector<CheckpointProcess>& processes) {
    CheckpointRows rows;
    for (const CheckpointProcess& process : processes) rows.push_back(ProcessLine(process));
    sockets_.Add(&rows);
    for (std::string& line : ModuleLines(ReadWholeFile("/proc/modules", kModules).value_or("")))
      rows.push_back(std::move(line));
    programs_.Add(&rows);
    const bool cut = rows.size() > kMaxRows;
    if (cut) rows.resize(kMaxRows);
    Normalise(&rows);
    const std::string at = FormatUtc(ReadWallClock());
    const CheckpointDifference difference = Compare(before_, rows);
    if (file_ && difference.empty()) {
      ++unchanged;
      return Ok();
    }
    before_ = std::move(rows);
    std::string text = FormatDifference(at, difference);
    if (!file_ || written_ + text.size() > options_.max_bytes / kFiles) {
      TRY_VOID(Begin(at));
      text = FormatFull(at, before_, cut);
    }
    return Write(std::move(text));
  }

  // A new file, and room for a part of the bytes behind it.
  Status Begin(const std::string& at) {
    TRY(std::vector<std::string> names, ListDirectory(options_.directory));
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(kEnd); });
    std::sort(names.begin(), names.end());
    while (names.size() >= kFiles) {
      TRY_VOID(RemoveFile(options_.directory + "/" + names.front()));
      names.erase(names.begin());
    }
    // Names follow each other as the files do; a time may come twice.
    std::string path;
    for (int again = 0; again < kMaxSameTime; ++again) {
      const std::string number = std::to_string(kMaxSameTime + again).substr(1);
      path = options_.directory;
      path.append("/").append(at).append("-").append(number).append(kEnd);
      file_.Reset(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
      if (file_ || errno != EEXIST) break;
    }
    if (!file_) return ErrnoError(path);
    written_ = 0;
    return Ok();
  }

  // What does not fit into the part is left out, and its last line says so.
  Status Write(std::string text) {
    const std::uint64_t room = options_.max_bytes / kFiles;
    if (text.size() > room) {
      text.resize(text.rfind('\n', room - kCut.size() - 1) + 1);
      text += kCut;
    }
    written_ += text.size();
    Status done = WriteAll(file_.get(), text);
    if (!done) file_.Reset();  // the next begins with a whole one
    return done;
  }

  const CheckpointOptions options_;
  // The thread's:
  SocketTable sockets_;
  ProgramTable programs_;
  CheckpointRows before_;
  UniqueFd file_;
  std::uint64_t written_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Under mutex_:
  std::optional<std::vector<CheckpointProcess>> next_;  // being made, too
  std::string problem_;
  bool stopping_ = false;
  std::thread thread_;
};

Checkpoints::Checkpoints(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoints::~Checkpoints() = default;

Result<std::unique_ptr<Checkpoints>> Checkpoints::Start(CheckpointOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  TRY_VOID(impl->Start());
  return std::unique_ptr<Checkpoints>(new Checkpoints(std::move(impl)));
}

bool Checkpoints::Take(std::vector<CheckpointProcess> processes) {
  return impl_->Take(std::move(processes));
}
std::string Checkpoints::problem() const { return impl_->problem(); }
std::uint64_t Checkpoints::taken() const { return impl_->taken; }
std::uint64_t Checkpoints::unchanged() const { return impl_->unchanged; }
std::uint64_t Checkpoints::cpu_us() const { return impl_->cpu_us; }

}  // namespace culprit
