// SPDX-License-Identifier: Apache-2.0
#include "collector/model/login_rules.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string>

namespace culprit {
namespace {

constexpr std::size_t kMaxText = 1'024;  // 256 bytes, each escaped as \xNN
constexpr std::uint32_t kMaxPort = 65'535;
constexpr int kMaxLinks = 16, kMaxChanges = 64;
constexpr std::uint64_t kMaxCount =
    static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

bool IsText(const std::string& text) {
  return text.size() <= kMaxText &&
         std::ranges::all_of(text, [](char c) { return c >= ' ' && c < '\x7f'; });
}

bool AreTexts(std::initializer_list<const std::string*> texts) {
  return std::ranges::all_of(texts, [](const std::string* text) { return IsText(*text); });
}

bool IsEnd(const std::string& address, std::uint32_t port) {
  return (address.empty() || address.size() == 4 || address.size() == 16) && port <= kMaxPort;
}

bool IsKind(int kind) { return kind != v1::LOGIN_KIND_UNSPECIFIED && v1::LoginKind_IsValid(kind); }

bool IsGood(const v1::SessionLink& link) {
  return link.kind() != v1::SESSION_LINK_KIND_UNSPECIFIED &&
         v1::SessionLinkKind_IsValid(link.kind()) &&
         v1::LinkConfidence_IsValid(link.confidence()) && IsText(link.reason());
}

bool IsGood(const v1::LoginUidChange& change) {
  return change.process_id() != 0 && change.at_boot_ns() <= kMaxCount;
}

}  // namespace

bool IsGoodLogin(const v1::Login& login) {
  return login.session_id() != 0 && login.at_boot_ns() <= kMaxCount &&
         login.logged_wall_ns() >= 0 && IsKind(login.kind()) &&
         IsEnd(login.address(), login.port()) &&
         AreTexts({&login.user(), &login.method(), &login.key_type(), &login.key_fingerprint(),
                   &login.key_found_at(), &login.certificate_id(), &login.ca_fingerprint(),
                   &login.principal()});
}

bool IsGoodFailure(const v1::LoginFailure& failure) {
  return failure.minute_wall_ns() >= 0 && IsEnd(failure.address(), 0) &&
         failure.count() <= kMaxCount && failure.last_boot_ns() <= kMaxCount &&
         AreTexts({&failure.user(), &failure.method()});
}

bool IsGoodSession(const v1::Session& session) {
  const auto good = [](const auto& part) { return IsGood(part); };
  return session.session_id() != 0 && IsKind(session.kind()) &&
         (session.began_boot_ns() | session.ended_boot_ns()) <= kMaxCount &&
         IsEnd(session.address(), session.port()) && IsText(session.user()) &&
         session.links_size() <= kMaxLinks && session.changes_size() <= kMaxChanges &&
         std::ranges::all_of(session.links(), good) && std::ranges::all_of(session.changes(), good);
}

}  // namespace culprit
