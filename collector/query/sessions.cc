// SPDX-License-Identifier: Apache-2.0
// Names: which session a process belongs to. Descent is what happened and cannot be given up; the
// audit session is what the kernel handed down, and all there is where a parent is not known.
#include "collector/query/render.h"

namespace culprit {
namespace {

constexpr int kMaxAncestors = 64;

// A session begins at a daemon that lets somebody in, or where an audit session does: nothing else
// is looked up.
bool MayBeRoot(const ProcessRecord& process, const ProcessRecord* child,
               const ProcessRecord* parent) {
  const v1::Process& p = process.definition;
  const std::string& comm = p.comm();
  if (comm.starts_with("sshd") || comm.starts_with("ssm-session") || comm == "login") return true;
  const bool below = child != nullptr && child->definition.session_id() != p.session_id();
  const bool above = parent == nullptr || parent->definition.session_id() != p.session_id();
  return below || (p.session_id() != kNoSession && above);
}

}  // namespace

const SessionMatch* Names::ByDescent(std::uint32_t host, const ProcessRecord& process) {
  const ProcessRecord* child = nullptr;
  const ProcessRecord* at = &process;
  for (int i = 0; i < kMaxAncestors && at != nullptr; ++i) {
    const ProcessRecord* parent = Process(host, ProcessId{at->definition.parent_id()});
    if (MayBeRoot(*at, child, parent)) {
      const auto [it, fresh] = roots_.try_emplace({host, at->id().value()});
      if (fresh) {
        if (auto found = store_.FindSession(host, at->id(), at->start))
          it->second = std::move(*found);
      }
      if (it->second) {
        return &sessions_[{host, process.id().value()}].emplace(
            SessionMatch{*it->second, "descent"});
      }
    }
    child = at;
    at = parent;
  }
  return nullptr;
}

const SessionMatch* Names::Session(std::uint32_t host, ProcessId id) {
  const Key key{host, id.value()};
  if (const auto known = sessions_.find(key); known != sessions_.end()) {
    return known->second ? &*known->second : nullptr;
  }
  sessions_[key] = std::nullopt;
  const ProcessRecord* process = Process(host, id);
  if (process == nullptr) return nullptr;
  const SessionMatch* descent = ByDescent(host, *process);
  const v1::Process& p = process->definition;
  if (p.session_id() == kNoSession) return descent;
  if (descent != nullptr) {
    const bool agrees = descent->session.session.audit_session() == p.session_id();
    if (agrees) sessions_[key]->by = "descent and audit session";
    return descent;
  }
  const WallTime boot = process->start - std::chrono::nanoseconds(p.start_boot_ns());
  auto found = store_.FindAuditSession(host, p.session_id(), boot, process->start);
  if (!found || !*found) return nullptr;
  return &sessions_[key].emplace(SessionMatch{std::move(**found), "audit session"});
}

}  // namespace culprit
