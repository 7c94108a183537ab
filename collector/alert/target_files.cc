// SPDX-License-Identifier: Apache-2.0
#include "collector/alert/target_files.h"

#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "collector/alert/syslog_address.h"
#include "collector/alert/syslog_tls.h"
#include "common/file.h"
#include "common/toml_reader.h"

namespace culprit {
namespace {

constexpr std::size_t kMinSecret = 16, kMaxSecret = 4096;

}  // namespace

Result<std::string> ReadSecretFile(const std::string& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return ErrnoError(path);
  if ((st.st_mode & S_IRWXO) != 0)
    return FailedPrecondition(
        fmt::format("{}: everybody may read or write it: chmod 0640 {}", path, path));
  TRY(std::string text, ReadFileBounded(path, kMaxSecret));
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (text.size() < kMinSecret)
    return InvalidArgument(fmt::format(
        "{}: fewer than {} bytes; `openssl rand -hex 32` makes a secret", path, kMinSecret));
  return text;
}

bool IsWebUrl(const std::string& url) {
  const std::size_t begin = url.starts_with("https://") ? 8 : url.starts_with("http://") ? 7 : 0;
  const bool plain =
      std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  return begin != 0 && plain && url.size() > begin && url[begin] != '/';
}

Result<std::string> UrlOf(const AlertTarget& target) {
  if (target.url_file.empty()) return target.url;
  TRY(std::string url, ReadSecretFile(target.url_file));
  if (!IsWebUrl(url))
    return InvalidArgument(target.url_file + ": not an http:// or https:// address");
  return url;
}

std::string DestinationOf(const AlertTarget& target) {
  if (target.kind == "syslog") return target.address;
  if (target.kind == "command") return target.command.empty() ? "" : target.command.front();
  if (!target.url_file.empty()) return "address in " + target.url_file;
  const std::size_t begin = target.url.find("//") + 2;
  const std::size_t end = std::min(target.url.find_first_of("/?#", begin), target.url.size());
  std::string authority = target.url.substr(begin, end - begin);
  authority.erase(0, authority.rfind('@') + 1);
  return target.url.substr(0, begin) + authority + (end == target.url.size() ? "" : "/...");
}

Status CheckTargetFiles(const AlertTarget& target) {
  if (target.kind == "webhook") {
    if (!target.secret_file.empty()) TRY_VOID(ReadSecretFile(target.secret_file));
    TRY_VOID(UrlOf(target));
    if (!target.ca_file.empty() && access(target.ca_file.c_str(), R_OK) != 0)
      return ErrnoError(target.ca_file);
  }
  const auto syslog = ParseSyslogAddress(target.address);
  if (target.kind == "syslog" && syslog && syslog->transport == SyslogAddress::Transport::kTls)
    TRY_VOID(
        CheckTlsFiles({syslog->host, target.ca_file, target.certificate_file, target.key_file}));
  if (target.kind == "command" && access(target.command.front().c_str(), X_OK) != 0)
    return ErrnoError(target.command.front());
  return Ok();
}

}  // namespace culprit
