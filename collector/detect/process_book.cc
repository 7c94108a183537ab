// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/process_book.h"

#include <algorithm>
#include <array>

#include "collector/detect/programs.h"
#include "common/ascii.h"
#include "common/hex.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxProcesses = 32'768;
constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxCommandLine = 256;

constexpr std::array<std::string_view, 6> kOddPlaces = {
    "/tmp/", "/var/tmp/", "/dev/shm/", "/run/user/", "/dev/mqueue/", "/var/crash/"};
constexpr std::array<std::string_view, 8> kWebServers = {"nginx",   "apache2", "httpd",  "lighttpd",
                                                         "php-fpm", "caddy",   "tomcat", "uwsgi"};

constexpr std::array<std::string_view, 7> kConfiguredProxies = {
    "nginx", "haproxy", "envoy", "traefik", "caddy", "varnishd", "apache2"};
constexpr std::array<std::string_view, 2> kSystemPlaces = {"/usr/", "/opt/"};
constexpr std::uint32_t kNoLogin = 0xffffffff;

bool StartsWithAny(std::string_view text, const auto& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [text](std::string_view prefix) { return text.starts_with(prefix); });
}

v1::PackageState PackageOf(const v1::Process& process) { return process.exe_package().state(); }

// Where an operator installs things without a package.
bool IsOwnInstallation(const v1::Process& process) {
  return process.exe().starts_with("/opt/") || process.exe().starts_with("/usr/local/");
}

// Name of the executable, also of one that is gone.
std::string_view ProgramOf(const v1::Process& process) {
  return BaseName(WithoutDeleted(process.exe()));
}

bool IsSshd(const v1::Process& process) {
  const std::string_view name = ProgramOf(process);
  return name == "sshd" || name == "sshd-session" || name == "sshd-auth";
}

// One that starts programs on behalf of others; empty = no.
std::string StarterKind(const v1::Process& process) {
  const std::string_view name = ProgramOf(process);
  if (IsSshd(process)) return "sshd";
  if (name == "cron" || name == "crond" || name == "atd" || name == "anacron") return "cron";
  if (StartsWithAny(name, kWebServers)) return "a web server";
  return "";
}

}  // namespace

std::string CommandLineOf(const v1::Process& process) {
  std::string line;
  for (const std::string& word : process.argv()) {
    if (!line.empty()) line += ' ';
    line += word;
    if (line.size() > kMaxCommandLine) {
      line.resize(kMaxCommandLine);
      return line + "...";
    }
  }
  if (!line.empty()) return line;
  return process.exe().empty() ? process.comm() : process.exe();
}

void ProcessBook::Take(const v1::Process& definition) {
  Entry& entry = entries_[definition.process_id()];
  // A later record replaces what it fills in.
  if (entry.process.process_id() == 0) {
    entry.process = definition;
  } else {
    if (definition.argv_size() > 0) entry.process.clear_argv();
    entry.process.MergeFrom(definition);
  }
  entry.used = ++clock_;
  if (entries_.size() > kMaxProcesses) Shrink();
}

void ProcessBook::Shrink() {
  const std::uint64_t limit = clock_ - kMaxProcesses / 2;
  std::erase_if(entries_, [limit](const auto& one) { return one.second.used < limit; });
}

const v1::Process* ProcessBook::Find(ProcessId id) const {
  const auto it = entries_.find(id.value());
  return it == entries_.end() ? nullptr : &it->second.process;
}

const v1::Process* ProcessBook::ParentOf(const v1::Process& process) const {
  return process.parent_id() == 0 ? nullptr : Find(ProcessId{process.parent_id()});
}

ProcessTraits ProcessBook::TraitsOf(ProcessId id) const {
  ProcessTraits traits;
  const v1::Process* process = Find(id);
  if (process == nullptr) return traits;
  traits.deleted = process->exe_deleted();
  traits.memory_only = process->exe_memfd();
  traits.odd_path = StartsWithAny(process->exe(), kOddPlaces);
  traits.unpackaged = PackageOf(*process) == v1::PACKAGE_STATE_NONE;
  traits.altered = PackageOf(*process) == v1::PACKAGE_STATE_DIFFERS;
  traits.is_sshd = IsSshd(*process);
  traits.configured_proxy = std::find(kConfiguredProxies.begin(), kConfiguredProxies.end(),
                                      ProgramOf(*process)) != kConfiguredProxies.end() &&
                            StartsWithAny(process->exe(), kSystemPlaces) && !traits.deleted &&
                            !traits.memory_only && !traits.altered &&
                            (!traits.unpackaged || IsOwnInstallation(*process)) &&
                            process->login_uid() == kNoLogin;
  traits.is_agent = process->is_agent();
  const v1::Process* above = ParentOf(*process);
  // A worker of a server is the server itself.
  bool itself = !traits.is_sshd;
  for (int depth = 0; above != nullptr && depth < kMaxDepth; ++depth) {
    itself = itself && above->exe() == process->exe();
    if (!itself) traits.under = StarterKind(*above);
    if (!traits.under.empty()) break;
    above = ParentOf(*above);
  }
  return traits;
}

std::string ProcessBook::GroupOf(ProcessId id) const {
  const v1::Process* process = Find(id);
  if (process == nullptr) return "process " + std::to_string(id.value());
  // The topmost ancestor below pid 1 and below what starts programs for others.
  const v1::Process* root = process;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    const v1::Process* above = ParentOf(*root);
    if (above == nullptr || above->tgid() <= 1) break;
    if (!StarterKind(*above).empty() && above->tgid() != root->tgid()) break;
    root = above;
  }
  const std::string program = process->exe().empty() ? process->comm() : process->exe();
  return process->container_id() + "|" + program + "|" + std::to_string(root->tgid()) + "|" +
         std::to_string(root->start_boot_ns());
}

std::string ProcessBook::ProgramKeyOf(ProcessId id) const {
  const v1::Process* process = Find(id);
  if (process == nullptr) return "";
  const bool altered = PackageOf(*process) == v1::PACKAGE_STATE_DIFFERS;
  if ((IsSystemPath(process->exe()) && !altered) || process->exe_sha256().empty()) {
    return std::string(WithoutDeleted(process->exe()));
  }
  return HexEncode(process->exe_sha256());
}

std::vector<std::string> ProcessBook::AncestryOf(ProcessId id) const {
  std::vector<std::string> lines;
  const v1::Process* process = Find(id);
  const v1::Process* above = process == nullptr ? nullptr : ParentOf(*process);
  for (int depth = 0; above != nullptr && depth < kMaxDepth; ++depth) {
    lines.push_back(std::to_string(above->tgid()) + " " + CommandLineOf(*above));
    above = ParentOf(*above);
  }
  return lines;
}

bool ProcessBook::IsLoginSshd(ProcessId id) const {
  const v1::Process* process = Find(id);
  if (process == nullptr || !IsSshd(*process)) return false;
  const v1::Process* parent = ParentOf(*process);
  return parent != nullptr && IsSshd(*parent) && parent->tgid() != process->tgid();
}

}  // namespace culprit
