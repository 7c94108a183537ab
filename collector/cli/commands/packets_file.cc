// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/commands/packets_file.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/crc32c.h"
#include "common/file.h"

namespace culprit::cli {
namespace {

namespace json = google::protobuf::util;
constexpr std::size_t kMaxRequestBytes = 64U << 10;
constexpr std::size_t kReadBytes = 256U << 10;

std::string PartOf(const std::string& path) { return path + ".part"; }
std::string RequestOf(const std::string& path) { return path + ".part.fetch"; }

Result<UniqueFd> OpenPart(const std::string& path, int flags) {
  UniqueFd fd(open(PartOf(path).c_str(), O_RDWR | O_CLOEXEC | flags, 0600));
  if (!fd) return ErrnoError("--out " + PartOf(path));
  return fd;
}

}  // namespace

Result<PacketsFile> PacketsFile::Create(const std::string& path) {
  if (path == "-") return PacketsFile(path, UniqueFd());
  TRY(UniqueFd fd, OpenPart(path, O_CREAT | O_TRUNC));
  return PacketsFile(path, std::move(fd));
}

Result<PacketsFile> PacketsFile::Continue(const std::string& path,
                                          v1::FetchPacketsRequest* request) {
  const auto text = ReadWholeFile(RequestOf(path), kMaxRequestBytes);
  if (!text || !json::JsonStringToMessage(*text, request).ok()) {
    return InvalidArgument("--resume: no fetch into " + path + " was begun here (" +
                           RequestOf(path) + " is missing or damaged)");
  }
  TRY(UniqueFd fd, OpenPart(path, 0));
  PacketsFile file(path, std::move(fd));
  std::string buffer(kReadBytes, '\0');
  for (;;) {
    const ssize_t n = read(file.fd_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoError("read " + PartOf(path));
    if (n == 0) break;
    const std::string_view bytes(buffer.data(), static_cast<std::size_t>(n));
    file.crc_ = Crc32c(bytes, file.crc_);
    file.bytes_ += bytes.size();
  }
  return file;
}

Status PacketsFile::Remember(const v1::FetchPacketsRequest& request) const {
  if (is_stdout()) return Ok();
  std::string text;
  if (!json::MessageToJsonString(request, &text).ok()) return Internal("cannot write a request");
  return WriteFileAtomically(RequestOf(path_), text + "\n", 0600);
}

Status PacketsFile::Write(std::string_view bytes) {
  TRY_VOID(WriteAll(is_stdout() ? STDOUT_FILENO : fd_.get(), bytes));
  crc_ = Crc32c(bytes, crc_);
  bytes_ += bytes.size();
  return Ok();
}

Status PacketsFile::Finish() {
  if (is_stdout()) return Ok();
  if (fsync(fd_.get()) != 0) return ErrnoError("write " + PartOf(path_));
  TRY_VOID(RenameFile(PartOf(path_), path_));
  return RemoveFile(RequestOf(path_));
}

}  // namespace culprit::cli
