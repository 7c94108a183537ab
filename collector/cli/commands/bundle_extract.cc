// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/commands/bundle_extract.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/bundle_manifest.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/sha256.h"
#include "common/text.h"
#include "common/unique_fd.h"

namespace culprit::cli {
namespace {

constexpr std::size_t kMaxPart = 255, kMaxParts = 64, kKept = 160;
constexpr std::size_t kMaxRefused = 1000;
constexpr std::size_t kChunk = std::size_t{256} << 10;
constexpr mode_t kDirectory = 0700, kFile = 0600;

Result<UniqueFd> OpenTarget(const std::string& directory) {
  if (mkdir(directory.c_str(), kDirectory) != 0 && errno != EEXIST)
    return ErrnoError("--to " + directory);
  UniqueFd fd(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return ErrnoError("--to " + directory);
  TRY(const std::vector<std::string> there, ListDirectory(directory));
  if (!there.empty())
    return InvalidArgument("--to " + directory + ": expected an empty directory, or none");
  return fd;
}

// The file of a name, made anew below `top`.
Result<UniqueFd> MakeFile(int top, const std::vector<std::string>& parts) {
  UniqueFd at(fcntl(top, F_DUPFD_CLOEXEC, 3));
  if (!at) return ErrnoError("--to");
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) {
    if (mkdirat(at.get(), parts[i].c_str(), kDirectory) != 0 && errno != EEXIST)
      return ErrnoError("make " + EscapeText(parts[i]));
    UniqueFd next(
        openat(at.get(), parts[i].c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) return ErrnoError("open " + EscapeText(parts[i]));
    at = std::move(next);
  }
  UniqueFd file(openat(at.get(), parts.back().c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kFile));
  if (!file) return ErrnoError("make " + EscapeText(parts.back()));
  return file;
}

bool IsWanted(const std::string& name, const std::vector<std::string>& members) {
  return members.empty() ||
         std::any_of(members.begin(), members.end(), [&](const std::string& member) {
           return name == member || name.starts_with(member + "/");
         });
}

// An error of the bundle, not of the file system or of the source.
bool IsOfBundle(Code code) {
  return code == Code::kOutOfRange || code == Code::kDataLoss || code == Code::kFailedPrecondition;
}

class Extractor {
 public:
  Extractor(ByteSource source, UniqueFd top, const std::vector<std::string>& members)
      : reader_(std::move(source)), top_(std::move(top)), members_(members) {}

  Result<Extracted> Run() {
    for (;;) {
      auto member = reader_.Next();
      if (!member) {
        if (!IsOfBundle(member.error().code)) return member.error();
        out_.broken = member.error().message;
        return std::move(out_);
      }
      if (!*member) return std::move(out_);
      if (!IsWanted((*member)->name, members_)) continue;
      TRY_VOID(One(**member));
      if (!out_.broken.empty()) return std::move(out_);
    }
  }

 private:
  void Refuse(const std::string& name) {
    if (out_.refused.size() < kMaxRefused) out_.refused.push_back(name);
  }

  Status One(const BundleReader::Member& member) {
    const std::vector<std::string> parts = PathParts(member.name);
    if (parts.empty()) {
      Refuse(member.name);
      return Ok();
    }
    auto file = MakeFile(top_.get(), parts);
    if (!file) {
      const Code code = file.error().code;
      if (code == Code::kResourceExhausted || code == Code::kPermissionDenied) return file.error();
      Refuse(member.name);  // there already, or below what is a file
      return Ok();
    }
    std::string chunk(kChunk, '\0');
    for (;;) {
      const auto got = reader_.Read(chunk);
      if (!got && !IsOfBundle(got.error().code)) return got.error();
      if (!got) out_.broken = got.error().message;
      if (!got || *got == 0) break;
      if (Status written = WriteAll(file->get(), std::string_view(chunk).substr(0, *got)); !written)
        return std::move(written).error().Context(EscapeText(member.name));
      out_.bytes += *got;
    }
    ++out_.files;
    return Ok();
  }

  BundleReader reader_;
  const UniqueFd top_;
  const std::vector<std::string>& members_;
  Extracted out_;
};

}  // namespace

std::vector<std::string> PathParts(const std::string& name) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    std::string part = name.substr(at, end - at);
    at = end + 1;
    const bool bad = part.empty() || part == "." || part == ".." ||
                     part.find('\0') != std::string::npos || parts.size() >= kMaxParts;
    if (bad) return {};
    // Escaping makes names longer than a file system takes.
    if (part.size() > kMaxPart)
      part = part.substr(0, kKept) + "~" + HexEncode(AsBytes(Sha256Of(part))).substr(0, 32);
    parts.push_back(std::move(part));
  }
  return parts;
}

std::string AsMemberName(const std::string& text) {
  return text.starts_with('/') ? MemberNameOf(text) : text;
}

Result<Extracted> ExtractBundle(ByteSource source, const std::string& directory,
                                const std::vector<std::string>& members) {
  TRY(UniqueFd top, OpenTarget(directory));
  return Extractor(std::move(source), std::move(top), members).Run();
}

}  // namespace culprit::cli
