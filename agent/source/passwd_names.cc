// SPDX-License-Identifier: Apache-2.0
#include "agent/source/passwd_names.h"

#include <sys/stat.h>

#include <utility>

#include "common/ascii.h"
#include "common/number.h"
#include "common/toml_reader.h"

namespace culprit {
namespace {
constexpr std::size_t kMaxFileBytes = 1U << 20;
constexpr std::size_t kMaxUsers = 20'000;
constexpr std::size_t kMaxNameBytes = 64;
}  // namespace

std::unordered_map<std::uint32_t, std::string> ParsePasswd(std::string_view text) {
  std::unordered_map<std::uint32_t, std::string> names;
  while (!text.empty() && names.size() < kMaxUsers) {
    const std::string_view line = NextLine(&text);
    // name:password:uid:…
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    const std::size_t third =
        second == std::string_view::npos ? second : line.find(':', second + 1);
    if (third == std::string_view::npos || first == 0 || first > kMaxNameBytes) continue;
    const auto uid = AsNumber<std::uint32_t>(line.substr(second + 1, third - second - 1));
    if (uid) names.try_emplace(*uid, line.substr(0, first));
  }
  return names;
}

PasswdNames::PasswdNames(std::string path, std::chrono::seconds recheck)
    : path_(std::move(path)), recheck_(recheck) {}

std::string PasswdNames::Name(Uid uid, BootTime now) {
  if (!read_ || now - checked_ >= recheck_) Refresh(now);
  const auto it = names_.find(uid.value());
  return it == names_.end() ? std::string() : it->second;
}

void PasswdNames::Refresh(BootTime now) {
  checked_ = now;
  struct stat st {};
  if (stat(path_.c_str(), &st) != 0) return;  // being replaced: the names known stay
  const std::int64_t mtime_ns =
      static_cast<std::int64_t>(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec;
  const auto size = static_cast<std::uint64_t>(st.st_size);
  if (read_ && st.st_ino == inode_ && size == size_ && mtime_ns == mtime_ns_) return;
  auto text = ReadFileBounded(path_, kMaxFileBytes);
  if (!text) return;
  read_ = true;
  inode_ = st.st_ino;
  size_ = size;
  mtime_ns_ = mtime_ns;
  names_ = ParsePasswd(*text);
}

}  // namespace culprit
