// SPDX-License-Identifier: Apache-2.0
#include "agent/s3/key_source.h"

#include <sys/stat.h>

#include <algorithm>

#include "agent/imds/imds.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxFileBytes = 64U << 10;
constexpr std::chrono::seconds kExchange{2}, kTokenLife{60};
constexpr const char* kRoles = "/latest/meta-data/iam/security-credentials/";

bool IsRoleName(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           std::string_view("+=,.@_-").find(c) != std::string_view::npos;
  });
}

}  // namespace

Result<AwsKeys> ReadKeyFile(const std::string& path) {
  auto file = OpenReadOnly(path);
  if (!file) return std::move(file).error().Context("sink.credentials");
  struct stat facts {};
  if (fstat(file->get(), &facts) != 0) return ErrnoError("sink.credentials " + path);
  if (!S_ISREG(facts.st_mode))
    return InvalidArgument("sink.credentials " + path + ": not a regular file");
  if ((facts.st_mode & 077) != 0) {
    return InvalidArgument("sink.credentials " + path +
                           ": others than its owner may read it: chmod 600 " + path);
  }
  auto text = ReadWholeFile(file->get(), path, kMaxFileBytes);
  if (!text) return std::move(text).error().Context("sink.credentials");
  auto keys = ParseKeyFile(*text);
  if (!keys) {
    return std::move(keys).error().Context(
        "sink.credentials " + path +
        " (expected [default] with aws_access_key_id and aws_secret_access_key)");
  }
  return keys;
}

Result<AwsKeys> KeySource::Get(WallTime now) {
  if (imds_endpoint_.empty()) return *keys_;
  const bool usable = keys_ && now < *keys_->expires;
  if (usable && now < *keys_->expires - kEarly) return *keys_;
  if (usable && asked_ && now >= *asked_ && now - *asked_ < kLeastBetween) return *keys_;
  asked_ = now;
  auto fresh = AskForRole();
  if (fresh) {
    keys_ = std::move(*fresh);
    return *keys_;
  }
  if (usable) return *keys_;
  return std::move(fresh).error();
}

bool KeySource::Refused() {
  if (imds_endpoint_.empty()) return false;
  keys_.reset();
  return true;
}

Result<AwsKeys> KeySource::AskForRole() const {
  TRY(const ImdsSession session, ImdsSession::Open(imds_endpoint_, kExchange, kTokenLife));
  auto role = session.Get(kRoles, "the role of this instance");
  if (!role && role.error().code == Code::kNotFound) {
    return NotFound(
        "this instance has no role: attach an instance profile that may put objects into the "
        "bucket, or set sink.credentials");
  }
  if (!role) return std::move(role).error();
  const std::string name = role->substr(0, role->find_first_of("\r\n"));
  if (!IsRoleName(name)) return DataLoss("ask IMDSv2 for the role: not the name of one");
  TRY(const std::string answer, session.Get(kRoles + name, "the keys of role " + name));
  auto keys = ParseRoleKeys(answer);
  if (!keys) return std::move(keys).error().Context("keys of role " + name);
  return keys;
}

}  // namespace culprit
