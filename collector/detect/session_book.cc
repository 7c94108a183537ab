// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/session_book.h"

#include <algorithm>

#include "common/hex.h"
#include "common/net_address.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxSessions = 4096;
constexpr int kMaxDepth = 32;

}  // namespace

SessionBook::Entry& SessionBook::Touch(std::uint64_t id) {
  const auto [it, fresh] = sessions_.try_emplace(id);
  if (fresh) it->second.first = ++clock_;
  Entry& entry = it->second.second;
  if (fresh && sessions_.size() > kMaxSessions) {
    const auto oldest = std::min_element(
        sessions_.begin(), sessions_.end(),
        [](const auto& a, const auto& b) { return a.second.first < b.second.first; });
    std::erase_if(by_process_, [&](const auto& one) { return one.second == oldest->first; });
    sessions_.erase(oldest);
  }
  return entry;
}

void SessionBook::Take(const v1::Session& session) {
  Touch(session.session_id()).session = session;
  for (const std::uint64_t process : {session.root_process_id(), session.serving_process_id()}) {
    if (process != 0) by_process_[process] = session.session_id();
  }
}

void SessionBook::Take(const v1::Login& login) { Touch(login.session_id()).login = login; }

std::optional<v1::FindingSession> SessionBook::SessionOf(ProcessId id,
                                                         const ProcessBook& processes) const {
  const Entry* entry = nullptr;
  std::uint64_t session = 0;
  for (int depth = 0; depth < kMaxDepth && entry == nullptr; ++depth) {
    if (const auto it = by_process_.find(id.value()); it != by_process_.end()) {
      session = it->second;
      const auto known = sessions_.find(session);
      if (known != sessions_.end()) entry = &known->second.second;
    }
    const v1::Process* process = processes.Find(id);
    if (process == nullptr || process->parent_id() == 0) break;
    id = ProcessId{process->parent_id()};
  }
  if (entry == nullptr) return std::nullopt;
  v1::FindingSession out;
  out.set_session_id(HexId(session));
  const v1::Login& login = entry->login;
  out.set_kind(login.session_id() != 0 ? login.kind() : entry->session.kind());
  out.set_user(login.user().empty() ? entry->session.user() : login.user());
  const std::string address = AddressText(entry->session.address());
  out.set_address(address.empty() ? AddressText(login.address()) : address);
  out.set_method(login.method());
  out.set_key_fingerprint(login.key_fingerprint());
  out.set_failures_before(login.failures_before());
  return out;
}

std::string SessionText(const v1::FindingSession& session) {
  std::string text =
      "the session of " + (session.user().empty() ? "an unknown user" : session.user());
  if (!session.address().empty()) text += " from " + session.address();
  if (!session.key_fingerprint().empty()) {
    text += ", key " + session.key_fingerprint();
  } else if (!session.method().empty()) {
    text += ", by " + session.method();
  }
  return text;
}

}  // namespace culprit
