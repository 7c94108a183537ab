// SPDX-License-Identifier: Apache-2.0
#include "agent/bundle_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <utility>

#include "common/file.h"
#include "common/hex.h"
#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::size_t kRead = std::size_t{256} << 10;

}  // namespace

std::string BundleName(const BundleHead& head) {
  std::string host;
  for (const char c : head.instance_id.empty() ? head.hostname : head.instance_id)
    host.push_back(std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' ? c
                                                                                            : '-');
  std::string time;
  for (const char c : FormatUtc(ReadWallClock()).substr(0, 19))
    if (c != '-' && c != ':') time.push_back(c);
  return host.substr(0, 64) + "_" + time + "Z_" + head.snapshot_id.substr(0, 8) + ".tar.zst";
}

std::string HashOfThisProgram() {
  const auto fd = OpenReadOnly("/proc/self/exe");
  if (!fd) return "";
  Sha256 hash;
  std::string buffer(kRead, '\0');
  for (;;) {
    const ssize_t n = read(fd->get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return "";
    if (n == 0) return HexEncode(AsBytes(hash.Finish()));
    hash.Update({buffer.data(), static_cast<std::size_t>(n)});
  }
}

HostFacts AskWhoThisIs(const IdentityOptions& identity) {
  HostFacts host = LocalHostFacts(identity);
  if (identity.source == "imds" || (identity.source == "auto" && FirmwareSaysEc2(""))) {
    if (auto asked = AskImds(identity, host)) host = std::move(*asked);
  }
  return host;
}

Result<BundleFile> BundleFile::Open(const std::string& out, const std::string& directory,
                                    const BundleHead& head) {
  BundleFile file;
  if (out == "-") {
    file.fd_ = UniqueFd(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
    if (!file.fd_) return ErrnoError("standard output");
    return file;
  }
  file.path_ = out;
  struct stat st {};
  if (out.empty()) {
    TRY_VOID(MakeDirectories(directory, 0700));
    file.path_ = directory + "/" + BundleName(head);
  } else if (stat(out.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
    file.path_ = out + "/" + BundleName(head);
  }
  file.fd_ = UniqueFd(
      open(file.PartPath().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file.fd_) return ErrnoError(file.PartPath());
  return file;
}

Status BundleFile::Write(std::string_view bytes) {
  hash_.Update(bytes);
  bytes_ += bytes.size();
  return WriteAll(fd_.get(), bytes);
}

Status BundleFile::Keep() {
  if (path_.empty()) return Ok();
  if (fsync(fd_.get()) != 0) return ErrnoError(PartPath());
  TRY_VOID(RenameFile(PartPath(), path_));
  const std::size_t slash = path_.rfind('/');
  return SyncDirectory(slash == std::string::npos ? "." : path_.substr(0, slash + 1));
}

std::string BundleFile::Sha256Hex() { return HexEncode(AsBytes(hash_.Finish())); }

}  // namespace culprit
