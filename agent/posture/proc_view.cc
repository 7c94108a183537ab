// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/proc_view.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <map>
#include <unordered_map>

#include "agent/posture/sshd_lexer.h"
#include "common/ascii.h"
#include "common/file.h"
#include "common/unique_fd.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxTable = std::size_t{16} << 20;
constexpr std::size_t kMaxProcesses = 100'000;
constexpr std::size_t kMaxSockets = 65'536;

// Files of /proc have no size.
Result<std::string> ReadAll(const std::string& path, std::size_t limit) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return ErrnoError(path);
  return ReadUpTo(fd.get(), limit, path);
}

template <class Number>
Number Parse(std::string_view text, int base = 10) {
  Number value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

// "0100007F:0016" of /proc/net/tcp: words of four bytes in the machine's order.
Endpoint EndpointOf(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  std::string bytes;
  for (std::size_t word = 0; word + 8 <= colon; word += 8)
    for (std::size_t byte = 4; byte-- > 0;)
      bytes += static_cast<char>(Parse<std::uint8_t>(text.substr(word + 2 * byte, 2), 16));
  Endpoint endpoint;
  if (const auto address = IpAddress::FromBytes(bytes)) endpoint.address = *address;
  if (colon < text.size()) endpoint.port = Parse<std::uint16_t>(text.substr(colon + 1), 16);
  return endpoint;
}

using Sockets = std::unordered_map<std::uint64_t, Endpoint>;  // by inode

void ReadTable(const std::string& path, Sockets* sockets) {
  const auto table = ReadAll(path, kMaxTable);
  if (!table) return;
  std::string_view text = *table;
  while (!text.empty() && sockets->size() < kMaxSockets) {
    std::string_view line = NextLine(&text);
    std::array<std::string_view, 10> fields{};
    for (std::string_view& field : fields) field = NextWord(&line, " ");
    if (!fields.back().empty() && fields[3] == "0A")  // TCP_LISTEN
      sockets->emplace(Parse<std::uint64_t>(fields[9]), EndpointOf(fields[1]));
  }
}

class ProcView final : public HostView {
 public:
  explicit ProcView(std::string proc) : proc_(std::move(proc)) {}

  Result<std::vector<ListeningProcess>> Listeners() override {
    TRY(const auto entries, ListDirectory(proc_));
    std::map<std::int32_t, ListeningProcess> found;
    std::map<std::string, Sockets> by_namespace;
    for (const std::string& entry : entries) {
      if (entry.find_first_not_of("0123456789") != std::string::npos) continue;
      if (found.size() >= kMaxProcesses) break;
      const std::string folder = proc_ + "/" + entry;
      const std::string name = ReadLink(folder + "/ns/net").value_or("");
      auto [it, first] = by_namespace.try_emplace(name);
      if (first) {
        ReadTable(folder + "/net/tcp", &it->second);
        ReadTable(folder + "/net/tcp6", &it->second);
      }
      if (it->second.empty()) continue;
      auto listens = ListensOf(folder, it->second);
      if (listens.empty()) continue;
      const auto pid = Parse<std::int32_t>(entry);
      found[pid] = Describe(folder, pid, std::move(listens));
    }
    std::vector<ListeningProcess> all;
    all.reserve(found.size());
    for (auto& [pid, process] : found) all.push_back(std::move(process));
    return all;
  }

  Result<std::string> ReadExecutable(std::int32_t pid, std::size_t limit) override {
    return ReadAll(proc_ + "/" + std::to_string(pid) + "/exe", limit);
  }

 private:
  static std::vector<Endpoint> ListensOf(const std::string& folder, const Sockets& sockets) {
    std::vector<Endpoint> listens;
    DIR* dir = opendir((folder + "/fd").c_str());
    if (dir == nullptr) return listens;
    while (const dirent* entry = readdir(dir)) {
      std::array<char, 64> name{};
      const ssize_t length = readlinkat(dirfd(dir), entry->d_name, name.data(), name.size());
      constexpr std::string_view kSocket = "socket:[";
      const std::string_view link(name.data(),
                                  static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
      if (link.substr(0, kSocket.size()) != kSocket) continue;
      const auto it = sockets.find(Parse<std::uint64_t>(link.substr(kSocket.size())));
      if (it != sockets.end()) listens.push_back(it->second);
    }
    closedir(dir);
    return listens;
  }

  ListeningProcess Describe(const std::string& folder, std::int32_t pid,
                            std::vector<Endpoint> listens) {
    ListeningProcess process;
    process.pid = pid;
    process.listens = std::move(listens);
    const std::string exe = ReadLink(folder + "/exe").value_or("");
    process.exe = WithoutDeleted(exe);
    process.exe_deleted = process.exe.size() != exe.size();
    process.own_root = HasOwnRoot(folder);
    process.cmdline = ReadAll(folder + "/cmdline", 65'536).value_or("");
    process.start_ns = StartOf(folder);
    return process;
  }

  // A private mount namespace alone is no container: units have them (PrivateTmp).
  static bool HasOwnRoot(const std::string& folder) {
    struct stat own {
    }, other{};
    if (stat("/", &own) != 0 || stat((folder + "/root/").c_str(), &other) != 0) return false;
    return own.st_dev != other.st_dev || own.st_ino != other.st_ino;
  }

  // Field 22 of stat counts ticks since the boot.
  std::int64_t StartOf(const std::string& folder) {
    const std::string stat = ReadAll(folder + "/stat", 4'096).value_or("");
    const auto fields =
        SplitBy(std::string_view(stat).substr(std::min(stat.rfind(')'), stat.size())), ' ');
    if (fields.size() < 21) return 0;
    if (boot_s_ == 0) {
      const std::string kernel = ReadAll(proc_ + "/stat", kMaxTable).value_or("");
      const std::size_t at = kernel.find("\nbtime ");
      if (at != std::string::npos)
        boot_s_ = Parse<std::int64_t>(std::string_view(kernel).substr(at + 7));
    }
    const std::int64_t ticks = Parse<std::int64_t>(fields[20]), rate = sysconf(_SC_CLK_TCK);
    return (boot_s_ * rate + ticks) * (1'000'000'000 / rate);
  }

  std::string proc_;
  std::int64_t boot_s_ = 0;
};

}  // namespace

std::unique_ptr<HostView> OpenProcView(const std::string& proc) {
  return std::make_unique<ProcView>(proc);
}

}  // namespace culprit
