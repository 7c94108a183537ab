// SPDX-License-Identifier: Apache-2.0
#include "agent/self_check.h"

#include <unistd.h>

#include <vector>

#include "common/file.h"
#include "common/log.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxMarkBytes = 1024;
constexpr std::size_t kChunk = std::size_t{64} << 10;

bool SameFile(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec &&
         a.st_ctim.tv_sec == b.st_ctim.tv_sec && a.st_ctim.tv_nsec == b.st_ctim.tv_nsec;
}

std::optional<Sha256Digest> HashOf(int fd) {
  Sha256 hash;
  std::vector<char> buffer(kChunk);
  for (;;) {
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0) return std::nullopt;
    if (n == 0) return hash.Finish();
    hash.Update({buffer.data(), static_cast<std::size_t>(n)});
  }
}

std::string Line(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos || (at != 0 && text[at - 1] != '\n')) return "";
  const std::size_t begin = at + key.size();
  return std::string(text.substr(begin, text.find('\n', begin) - begin));
}

}  // namespace

std::optional<Sha256Digest> FileHash::Now() {
  struct stat now {};
  const auto fd = path_.empty() ? Result<UniqueFd>(NotFound("no path")) : OpenReadOnly(path_);
  if (!fd || fstat(fd->get(), &now) != 0 || !S_ISREG(now.st_mode)) {
    seen_.reset();
    digest_.reset();
    return digest_;
  }
  if (seen_ && SameFile(*seen_, now)) return digest_;
  digest_ = HashOf(fd->get());
  seen_ = now;
  return digest_;
}

std::string ReadRunMark(std::string_view text, const Uuid& boot_id) {
  const std::string state = Line(text, "state "), boot = Line(text, "boot ");
  if (state.starts_with("stopped")) return "stopped";
  if (state != "running") return "none";
  return boot == boot_id.ToString() ? "killed" : "reset";
}

SelfCheck::SelfCheck(const std::string& state_dir, const std::string& config_path,
                     const Uuid& run_id, const Uuid& boot_id)
    : mark_path_(state_dir + "/run"),
      run_id_(run_id),
      boot_id_(boot_id),
      program_(ReadLink("/proc/self/exe").value_or("")),
      config_(config_path) {
  const auto text = ReadWholeFile(mark_path_, kMaxMarkBytes);
  previous_run_ = text ? ReadRunMark(*text, boot_id) : "none";
  Mark("running");
}

void SelfCheck::Fill(const Spool* spool, HeartbeatFacts* beat) {
  // A program that was removed is told as a hash that no file has.
  beat->exe_sha256 = program_.Now().value_or(Sha256Digest{});
  beat->config_sha256 = config_.Now();
  beat->previous_run = previous_run_;
  if (spool != nullptr) beat->spool_files_missing = spool->files_removed();
}

void SelfCheck::Stop(const std::string& reason) { Mark("stopped " + reason); }

void SelfCheck::Mark(const std::string& state) {
  const std::string text =
      "run " + run_id_.ToString() + "\nboot " + boot_id_.ToString() + "\nstate " + state + "\n";
  if (const Status written = WriteFileAtomically(mark_path_, text); !written) {
    spdlog::warn("mark of this run not written error={}", written.error().message);
  }
}

}  // namespace culprit
