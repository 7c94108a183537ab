// SPDX-License-Identifier: Apache-2.0
#include "agent/enrich/session_book.h"

#include <algorithm>
#include <array>
#include <variant>

#include "common/ascii.h"
#include "common/flow_id.h"

namespace culprit {
namespace {

constexpr int kMaxAncestors = 64;
constexpr std::uint8_t kTcp = 6;
constexpr std::size_t kMaxText = 256;
// How long sshd may take from the end of the process before the login to the one behind it, which
// is told by its fork.
constexpr std::chrono::seconds kHandOver{1};
constexpr std::chrono::milliseconds kRetry{100};  // of lines that wait for their process

std::string_view NameOf(const Process& process) {
  const std::string_view exe = BaseName(process.image->exe);
  return exe.empty() ? std::string_view(process.comm) : exe;
}

bool IsSshdName(std::string_view name) {
  return name == "sshd" || name == "sshd-session" || name == "sshd-auth";
}

bool SameTask(const ProcessKey& a, const ProcessKey& b) {
  return IsSet(a) && a.tgid == b.tgid && a.start == b.start;
}

bool IsSsh(const SessionFacts& facts) {
  return facts.kind == LoginKind::kSsh || facts.kind == LoginKind::kInstanceConnect;
}

// What begins audit sessions that are nobody's login.
bool IsScheduler(std::string_view name) {
  return name == "cron" || name == "crond" || name == "atd" || name == "systemd" ||
         name == "systemd-executor" || name == "(systemd)";
}

}  // namespace

bool IsSshd(const Process& process) { return IsSshdName(NameOf(process)); }

bool IsRootSshd(const Process& process) { return IsSshd(process) && process.uid == Uid{0}; }
bool IsRootLogin(const Process& process) {
  return NameOf(process) == "login" && process.uid == Uid{0};
}

void SessionBook::On(const Event& event) {
  if (const auto* fork = std::get_if<ForkEvent>(&event)) {
    OnFork(*fork);
  } else if (const auto* exec = std::get_if<ExecEvent>(&event)) {
    OnExec(*exec);
  } else if (const auto* exit = std::get_if<ExitEvent>(&event)) {
    OnExit(*exit);
  } else if (const auto* flow = std::get_if<FlowEvent>(&event)) {
    OnFlow(*flow);
  }
}

void SessionBook::OnFlow(const FlowEvent& event) {
  // Of a connection that is older than the agent the kernel does not tell who began it.
  const bool in = event.direction == Direction::kIn ||
                  (event.direction == Direction::kUnknown &&
                   (event.flags & CULPRIT_FLOW_PREEXISTING) != 0);
  if (event.protocol != kTcp || !in || !IsSshdName(event.comm)) return;
  const FlowId flow =
      MakeFlowId(boot_id_, {event.cookie, event.generation, false, event.remote, event.protocol});
  auto [it, end] = connections_.equal_range(event.remote);
  while (it != end && it->second.flow != flow) ++it;
  if (it == end) {
    if (connections_.size() >= limits_.max_flows) {
      connections_.erase(connection_order_.front());
      connection_order_.pop_front();
    }
    it = connections_.emplace(event.remote, Connection{flow, {}, event.start, false});
    it->second.preexisting = (event.flags & CULPRIT_FLOW_PREEXISTING) != 0;
    connection_order_.push_back(it);
  }
  // Whoever is older than the connection is the listener that accepted it.
  Connection& connection = it->second;
  if (connection.preexisting || event.owner.start >= connection.began) {
    connection.owner = event.owner;
  }
}

void SessionBook::OnFork(const ForkEvent& event) {
  NoteAudit(event.child, event.parent, event.session_id, event.login_uid, event.at);
  // The first after the login. What sshd forks later (helpers of PAM at the logout) serves nobody.
  Entry* entry = OfRoot(event.parent);
  if (entry != nullptr && IsSsh(entry->facts) && !IsRootUser(entry->facts) &&
      !entry->serving_sure) {
    SetServing(entry, event.child, true);
  }
}

void SessionBook::OnExec(const ExecEvent& event) {
  if (!IsSet(event.key)) return;
  NoteAudit(event.key, IsSet(event.previous) ? event.previous : event.parent, event.session_id,
            event.login_uid, event.at);
  if (BaseName(event.path) == "ssm-session-worker" && event.uid == Uid{0}) OnSsm(event);
  // A helper of the login, or the shell of root: what serves the connection goes on as the program
  // that it was.
  Entry* entry = IsSet(event.previous) ? OfRoot(event.parent) : nullptr;
  if (entry != nullptr && SameTask(entry->serving, event.key)) FindServing(entry);
}

void SessionBook::OnExit(const ExitEvent& event) {
  if (const Process* ended = processes_.Find(event.key);
      ended != nullptr && (IsRootSshd(*ended) || IsRootLogin(*ended))) {
    ended_.push_back(event.key);
    if (ended_.size() > limits_.max_ended) ended_.pop_front();
  }
  if (Entry* entry = OfRoot(event.key); entry != nullptr && entry->facts.ended == BootTime{}) {
    entry->facts.ended = event.at;
    by_root_.erase(event.key.tgid);
    dirty_.insert(entry->facts.id);
  }
  const Process* process = processes_.Find(event.key);
  Entry* entry = process == nullptr ? nullptr : OfRoot(process->parent_key);
  if (entry == nullptr || entry->serving_sure || !SameTask(entry->serving, event.key)) return;
  entry->serving_ended = event.at;
  unserved_.insert(entry->facts.id);
}

bool SessionBook::IsRootUser(const SessionFacts& facts) const {
  if (facts.audit_session != kNoSession) return facts.login_uid == Uid{0};
  const std::string name = users_.NameOf(Uid{0});
  return facts.user == (name.empty() ? "root" : name);
}

void SessionBook::SetServing(Entry* entry, const ProcessKey& child, bool sure) {
  entry->serving = child;
  entry->serving_sure = sure;
  entry->serving_ended = {};
  const ProcessId id = IsSet(child) ? MakeProcessId(boot_id_, child) : entry->facts.root;
  if (entry->facts.serving == id) return;
  entry->facts.serving = id;
  dirty_.insert(entry->facts.id);
}

// Of an ordinary user it is a child of sshd's that never execs: one for the time before the login,
// and after that has ended the one that has become the user. Root is served by the process that let
// him in.
void SessionBook::FindServing(Entry* entry) {
  ProcessKey newest;
  if (!IsRootUser(entry->facts)) {
    processes_.ForEachProcess([&](const Process& process) {
      const bool may = process.ended == BootTime{} || entry->facts.ended != BootTime{};
      const bool sshd = (process.forked || process.preexisting) && IsSshd(process);
      if (sshd && may && SameTask(process.parent_key, entry->root) &&
          (!IsSet(newest) || newest.start < process.key.start)) {
        newest = process.key;
      }
    });
  }
  SetServing(entry, newest, false);
}

// What a process carries beside what the one before it carried.
void SessionBook::NoteAudit(const ProcessKey& child, const ProcessKey& parent,
                            std::uint32_t session, Uid login_uid, BootTime at) {
  const Process* before = processes_.Find(parent);
  if (before != nullptr && before->session_id == session && before->login_uid == login_uid) {
    if (session == kNoSession || by_audit_.contains(session)) return;
  }
  if (before != nullptr && before->session_id != kNoSession &&
      (before->session_id != session || before->login_uid != login_uid)) {
    NoteChange(*before, child, session, login_uid, at);
  }
  if (session == kNoSession || by_audit_.contains(session)) return;
  if (Entry* entry = OfRoot(parent); entry != nullptr) {
    if (before == nullptr || before->session_id != session) SetAudit(entry, session, login_uid);
    return;
  }
  if (unclaimed_.size() >= limits_.max_waiting) {
    ++counters_.dropped;
    return;
  }
  unclaimed_.try_emplace(session, Unclaimed{child, login_uid, at});
}

// Only the first value is kept; that there is another is told.
void SessionBook::NoteChange(const Process& before, const ProcessKey& child, std::uint32_t session,
                             Uid login_uid, BootTime at) {
  const auto found = by_audit_.find(before.session_id);
  // A daemon that somebody started by hand lets others in: those are logins of their own.
  if (found == by_audit_.end() || IsRootSshd(before) || IsScheduler(NameOf(before))) return;
  Entry& entry = sessions_.at(found->second);
  const LoginUidChangeFacts change{
      MakeProcessId(boot_id_, child), at, before.login_uid, login_uid, before.session_id, session};
  const bool known = std::ranges::any_of(entry.facts.changes, [&](const auto& other) {
    return other.process == change.process ||
           (other.to == change.to && other.to_session == session);
  });
  if (known) return;
  ++counters_.uid_changes;
  if (entry.facts.changes.size() >= limits_.max_changes) return;
  entry.facts.changes.push_back(change);
  dirty_.insert(entry.facts.id);
}

void SessionBook::SetAudit(Entry* entry, std::uint32_t session, Uid login_uid,
                           const char* reason) {
  if (entry->facts.audit_session != kNoSession) return;
  entry->facts.audit_session = session;
  entry->facts.login_uid = login_uid;
  entry->facts.links.push_back({SessionLinkKind::kAudit, LinkConfidence::kHigh, reason});
  CheckUser(entry);
  by_audit_[session] = entry->facts.id;
  unclaimed_.erase(session);
  dirty_.insert(entry->facts.id);
}

void SessionBook::OnSsm(const ExecEvent& event) {
  const Process* process = processes_.Find(event.key);
  if (process == nullptr || OfRoot(event.key) != nullptr) return;
  SessionFacts facts;
  facts.id = facts.root = process->id;
  facts.kind = LoginKind::kSsm;
  facts.began = event.at;
  facts.links.push_back({SessionLinkKind::kProcess, LinkConfidence::kMedium,
                         "runs under ssm-session-worker, which root started"});
  Begin(std::move(facts), event.key);
  LoginFacts login;
  login.session = process->id;
  login.at = event.at;
  login.kind = LoginKind::kSsm;
  login.method = "ssm";
  login.pid = event.key.tgid.value();
  // The worker's first argument is the session's name, which begins with that of the principal.
  if (event.argv.size() > 1) login.principal = event.argv[1].substr(0, kMaxText);
  ++counters_.logins;
  logins_.push_back(std::move(login));
}

// The topmost process that is known to have the audit session, or what let it in: that one got it
// after its last record.
const Process* SessionBook::WhatLetIn(std::uint32_t session, const ProcessKey& key) {
  const Process* top = processes_.Find(key);
  if (top == nullptr) return nullptr;
  const Process* parent = Parent(*top);
  for (int i = 0; i < kMaxAncestors && parent != nullptr && parent->session_id == session; ++i) {
    top = parent;
    parent = Parent(*top);
  }
  if (parent == nullptr) return top;
  if (IsScheduler(NameOf(*parent)) && !IsSshd(*top)) return nullptr;
  // The listener execs for each connection, and what it execs forks.
  const bool by_sshd = IsSshd(*parent) && (top->forked || !IsSshd(*top));
  return by_sshd || NameOf(*parent) == "login" ? parent : top;
}

// The session that a process left by writing its own login uid, where that is what happened.
const ProcessId* SessionBook::ChangedWithin(const Process& root, std::uint32_t session) {
  const Process* parent = Parent(root);
  if (IsSshd(root) || NameOf(root) == "login" || root.session_id != session || parent == nullptr) {
    return nullptr;
  }
  const auto before = by_audit_.find(parent->session_id);
  return before == by_audit_.end() || IsScheduler(NameOf(*parent)) ? nullptr : &before->second;
}

// Nothing in a log told about it in time: what began it says what it is.
void SessionBook::BeginUnlogged(std::uint32_t session, const Unclaimed& found) {
  const Process* root = WhatLetIn(session, found.child);
  if (root == nullptr || IsScheduler(NameOf(*root)) || OfRoot(root->key) != nullptr) return;
  if (const ProcessId* within = ChangedWithin(*root, session)) {
    by_audit_[session] = *within;  // told as a change of that session
    return;
  }
  SessionFacts facts;
  facts.id = facts.root = root->id;
  facts.kind = IsSshd(*root)              ? LoginKind::kSsh
               : NameOf(*root) == "login" ? LoginKind::kConsole
                                          : LoginKind::kOther;
  facts.began = found.at;
  if (found.login_uid != kNoUid) facts.user = users_.NameOf(found.login_uid);
  facts.links.push_back({SessionLinkKind::kProcess, LinkConfidence::kHigh,
                         "an audit session began below it; no line of a log told about a login"});
  Entry* entry = Begin(std::move(facts), root->key);
  if (entry == nullptr) return;
  ++counters_.unlogged;
  SetAudit(entry, session, found.login_uid);
  if (entry->facts.kind == LoginKind::kSsh) LookForChildren(*root, entry);
}

SessionBook::Entry* SessionBook::OfRoot(const ProcessKey& key) {
  const auto found = by_root_.find(key.tgid);
  if (found == by_root_.end()) return nullptr;
  Entry& entry = sessions_.at(found->second);
  return SameTask(entry.root, key) ? &entry : nullptr;
}

SessionBook::Entry* SessionBook::Begin(SessionFacts facts, const ProcessKey& root) {
  MakeRoom(now_);
  const ProcessId id = facts.id;
  if (sessions_.size() >= limits_.max_sessions && !sessions_.contains(id)) {
    ++counters_.dropped;
    return nullptr;
  }
  Entry& entry = sessions_[id];
  entry.facts = std::move(facts);
  entry.root = root;
  if (IsSet(root)) by_root_[root.tgid] = id;
  dirty_.insert(id);
  return &entry;
}

void SessionBook::Forget(ProcessId id) {
  const auto found = sessions_.find(id);
  std::erase_if(by_audit_, [id](const auto& audit) { return audit.second == id; });
  if (const auto root = by_root_.find(found->second.root.tgid);
      root != by_root_.end() && root->second == id) {
    by_root_.erase(root);
  }
  dirty_.erase(id);
  sessions_.erase(found);
}

// Ended ones go, the oldest first: those over their time, and where it is full any.
void SessionBook::MakeRoom(BootTime now) {
  std::vector<std::pair<BootTime, ProcessId>> ended;
  const bool full = sessions_.size() >= limits_.max_sessions;
  for (const auto& [id, entry] : sessions_) {
    const bool over = entry.facts.ended != BootTime{} && !dirty_.contains(id);
    if (over && (full || now - entry.facts.ended > limits_.keep)) {
      ended.emplace_back(entry.facts.ended, id);
    }
  }
  std::ranges::sort(ended);
  if (full) ended.resize(std::min<std::size_t>(ended.size(), limits_.max_sessions / 8 + 1));
  for (const auto& [at, id] : ended) Forget(id);
}

bool SessionBook::Descends(const ProcessKey& key, const ProcessKey& from) {
  const Process* process = processes_.Find(key);
  for (int i = 0; i < kMaxAncestors && process != nullptr; ++i) {
    if (SameTask(process->key, from)) return true;
    process = Parent(*process);
  }
  return false;
}

void SessionBook::Tick(BootTime now) {
  now_ = now;
  if (now >= next_try_) {
    next_try_ = now + kRetry;
    std::deque<WaitingLine> waiting = std::exchange(waiting_, {});
    for (WaitingLine& line : waiting) {
      if (!Join(line, now - line.at >= limits_.wait)) waiting_.push_back(std::move(line));
    }
  }
  for (auto it = unclaimed_.begin(); it != unclaimed_.end();) {
    if (now - it->second.at < limits_.wait) {
      ++it;
      continue;
    }
    const auto [session, found] = *it;
    it = unclaimed_.erase(it);
    BeginUnlogged(session, found);
  }
  for (auto it = unserved_.begin(); it != unserved_.end();) {
    const auto found = sessions_.find(*it);
    const bool over = found == sessions_.end() || found->second.serving_ended == BootTime{} ||
                      found->second.facts.ended != BootTime{};
    if (!over && now - found->second.serving_ended < kHandOver) {
      ++it;
      continue;
    }
    if (!over) FindServing(&found->second);
    it = unserved_.erase(it);
  }
  for (const ProcessId id : dirty_) {
    if (sessions_out_.size() >= limits_.max_pending) {
      sessions_out_.pop_front();
      ++counters_.dropped;
    }
    sessions_out_.push_back(sessions_.at(id).facts);
  }
  // What has no process has no end either: it is told, and not kept.
  for (const ProcessId id : std::exchange(dirty_, {})) {
    if (!IsSet(sessions_.at(id).root)) Forget(id);
  }
}

void SessionBook::Take(RecordBatch* batch, std::size_t max_records) {
  while (!logins_.empty() && batch->logins.size() < max_records) {
    batch->logins.push_back(std::move(logins_.front()));
    logins_.pop_front();
  }
  while (!sessions_out_.empty() && batch->sessions.size() < max_records) {
    batch->sessions.push_back(std::move(sessions_out_.front()));
    sessions_out_.pop_front();
  }
}

void SessionBook::ForgetSent() {
  for (const auto& [id, entry] : sessions_) {
    if (entry.facts.ended == BootTime{}) dirty_.insert(id);
  }
}

}  // namespace culprit
