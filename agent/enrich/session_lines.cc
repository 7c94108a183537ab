// SPDX-License-Identifier: Apache-2.0
// SessionBook: what lines of a log add, and how a line finds its process.
#include <algorithm>

#include "agent/enrich/session_book.h"

namespace culprit {
namespace {

constexpr int kMaxAncestors = 64;
constexpr std::size_t kMaxText = 256;

std::string Cut(const std::string& text) { return text.substr(0, kMaxText); }

}  // namespace

void SessionBook::On(const LoginLine& line, BootTime now, std::uint32_t failures_before) {
  switch (line.kind) {
    case LoginLineKind::kAccepted:
    case LoginLineKind::kConsole: {
      const WaitingLine waiting{line, now, failures_before};
      if (Join(waiting, false)) return;
      if (waiting_.size() >= limits_.max_waiting) {
        ++counters_.dropped;
        return;
      }
      waiting_.push_back(waiting);
      return;
    }
    case LoginLineKind::kKeyFound:
      return NoteHint(&found_at_, line.key_fingerprint, line.key_found_at);
    case LoginLineKind::kKeyHandedOut:
      return NoteHint(&principals_, line.key_fingerprint, line.principal);
    case LoginLineKind::kServing: {
      const Process* root = processes_.FindLive(Tgid(line.pid));
      Entry* entry = root == nullptr ? nullptr : OfRoot(root->key);
      const Process* child = processes_.FindLive(Tgid(line.serving_pid));
      if (entry == nullptr || child == nullptr || !Descends(child->key, root->key)) return;
      entry->facts.serving = child->id;
      dirty_.insert(entry->facts.id);
      return;
    }
    default:
      return;
  }
}

void SessionBook::NoteHint(std::deque<Hint>* hints, std::string key, std::string text) {
  if (hints->size() >= limits_.max_hints) hints->pop_front();
  hints->push_back({std::move(key), std::move(text)});
}

const std::string* SessionBook::FindHint(const std::deque<Hint>& hints, const std::string& key) {
  const auto found = std::find_if(hints.rbegin(), hints.rend(),
                                  [&](const Hint& hint) { return hint.key == key; });
  return key.empty() || found == hints.rend() ? nullptr : &found->text;
}

// False: it may still come to know more.
bool SessionBook::Join(const WaitingLine& waiting, bool last_try) {
  Entry found;
  const bool console = waiting.line.kind == LoginLineKind::kConsole;
  found.facts.kind = console ? LoginKind::kConsole : LoginKind::kSsh;
  found.facts.user = Cut(waiting.line.user);
  found.facts.began = waiting.at;
  found.logged = true;
  if (!(console ? JoinConsole(waiting, last_try, &found) : JoinSsh(waiting, last_try, &found))) {
    return false;
  }
  if (FindHint(principals_, waiting.line.key_fingerprint) != nullptr) {
    found.facts.kind = LoginKind::kInstanceConnect;
  }
  if (const auto known = sessions_.find(found.facts.id); known != sessions_.end()) {
    if (known->second.logged) return true;  // the line was read twice
    // Its audit session was seen first.
    Entry& entry = known->second;
    found.facts.audit_session = entry.facts.audit_session;
    found.facts.login_uid = entry.facts.login_uid;
    found.facts.serving = entry.facts.serving;
    found.facts.began = entry.facts.began;
    found.facts.changes = entry.facts.changes;
    for (const SessionLinkFacts& link : entry.facts.links) {
      if (link.kind == SessionLinkKind::kAudit) found.facts.links.push_back(link);
    }
    entry.facts = found.facts;
    entry.logged = true;
    dirty_.insert(entry.facts.id);
    PutLogin(waiting, entry);
    return true;
  }
  const ProcessKey root = found.root;
  Entry* entry = Begin(std::move(found.facts), root);
  if (entry == nullptr) return true;
  entry->logged = true;
  if (const Process* process = processes_.Find(root); process != nullptr) {
    LookForChildren(*process, entry);
  }
  PutLogin(waiting, *entry);
  return true;
}

// The process of one connection: what the line says logged it, else the topmost sshd above whoever has the connection that does
// not listen.
const Process* SessionBook::LoginProcess(const LoginLine& line, const Connection* connection) {
  if (line.pid != 0) {
    const Process* process = processes_.FindLive(Tgid(line.pid));
    return process != nullptr && IsSshd(*process) ? process : nullptr;
  }
  const Process* found = nullptr;
  const Process* process = connection == nullptr ? nullptr : processes_.Find(connection->owner);
  for (int i = 0; i < kMaxAncestors && process != nullptr && IsSshd(*process) &&
                  !listeners_.contains(process->key.tgid);
       ++i) {
    found = process;
    process = Parent(*process);
  }
  return found;
}

bool SessionBook::JoinSsh(const WaitingLine& waiting, bool last_try, Entry* entry) {
  const LoginLine& line = waiting.line;
  SessionFacts& facts = entry->facts;
  const auto at = line.from ? connections_.find(*line.from) : connections_.end();
  const Connection* connection = at == connections_.end() ? nullptr : &at->second;
  const Process* root = LoginProcess(line, connection);
  if ((root == nullptr || connection == nullptr) && !last_try) return false;
  if (root != nullptr) {
    entry->root = root->key;
    facts.id = facts.root = root->id;
    facts.links.push_back({SessionLinkKind::kProcess, LinkConfidence::kMedium,
                           line.pid != 0 ? "the line's pid is that of a running sshd"
                                         : "sshd's process for the connection from that address and port"});
  } else {
    ++counters_.unconfirmed;
    const ProcessKey made{Tgid(line.pid),
                          BootTimeFromNs(static_cast<std::uint64_t>(
                              line.at ? ToNs(*line.at) : static_cast<std::int64_t>(ToNs(waiting.at)))),
                          line.from ? line.from->port : 0U};
    facts.id = MakeProcessId(boot_id_, made);
    facts.links.push_back({SessionLinkKind::kProcess, LinkConfidence::kLow,
                           "no sshd with the line's pid or connection was running: the line alone says so"});
  }
  if (connection == nullptr) return true;
  facts.flow = connection->flow;
  // The listener has a connection until the process that it was made for sends something.
  const bool agrees = root != nullptr && (Descends(connection->owner, root->key) ||
                                          listeners_.contains(connection->owner.tgid));
  facts.links.push_back(
      {SessionLinkKind::kFlow, agrees ? LinkConfidence::kMedium : LinkConfidence::kLow,
       agrees ? "a connection of that sshd has the line's address and port"
              : "a connection has the line's address and port, but another sshd serves it"});
  return true;
}

bool SessionBook::JoinConsole(const WaitingLine& waiting, bool last_try, Entry* entry) {
  const Process* root = processes_.FindLive(Tgid(waiting.line.pid));
  const bool right = root != nullptr && root->image->exe.ends_with("/login");
  if (!right && !last_try) return false;
  SessionFacts& facts = entry->facts;
  if (right) {
    entry->root = root->key;
    facts.id = facts.root = root->id;
    facts.links.push_back({SessionLinkKind::kProcess, LinkConfidence::kMedium,
                           "the line's pid is that of a running login"});
    return true;
  }
  ++counters_.unconfirmed;
  facts.id = MakeProcessId(boot_id_, {Tgid(waiting.line.pid), waiting.at, 0});
  facts.links.push_back({SessionLinkKind::kProcess, LinkConfidence::kLow,
                         "no login with the line's pid was running: the line alone says so"});
  return true;
}

// Those that were forked before the line was read.
void SessionBook::LookForChildren(const Process& root, Entry* entry) {
  const bool ssh = entry->facts.kind != LoginKind::kConsole;
  const Process* newest = nullptr;
  processes_.ForEachProcess([&](const Process& process) {
    if (process.parent_key.tgid != root.key.tgid || process.parent_key.start != root.key.start) {
      return;
    }
    if (process.session_id != kNoSession && process.session_id != root.session_id) {
      SetAudit(entry, process.session_id, process.login_uid);
    }
    // What came before the login has ended, or does not have the new audit session.
    if (process.ended == BootTime{} && (newest == nullptr || newest->key.start < process.key.start)) {
      newest = &process;
    }
  });
  if (!ssh || newest == nullptr || entry->facts.serving != ProcessId{}) return;
  const bool audited = entry->facts.audit_session != kNoSession;
  if (audited && newest->session_id != entry->facts.audit_session) return;
  const bool root_user = audited ? entry->facts.login_uid == Uid{0} : entry->facts.user == "root";
  // Without audit the newest child may still be the one that authenticates: it runs as another user than it will.
  if (!audited && !root_user) return;
  entry->facts.serving = root_user ? entry->facts.root : newest->id;
  dirty_.insert(entry->facts.id);
}

void SessionBook::PutLogin(const WaitingLine& waiting, const Entry& entry) {
  const LoginLine& line = waiting.line;
  LoginFacts login;
  login.session = entry.facts.id;
  login.at = waiting.at;
  login.logged_wall_ns = line.at ? ToNs(*line.at) : 0;
  login.kind = entry.facts.kind;
  login.user = Cut(line.user);
  login.method = Cut(line.method);
  login.from = line.from;
  login.key_type = Cut(line.key_type);
  login.key_fingerprint = Cut(line.key_fingerprint);
  if (const auto* at = FindHint(found_at_, line.key_fingerprint)) login.key_found_at = Cut(*at);
  login.certificate_id = Cut(line.certificate_id);
  login.certificate_serial = line.certificate_serial;
  login.ca_fingerprint = Cut(line.ca_fingerprint);
  if (const auto* who = FindHint(principals_, line.key_fingerprint)) login.principal = Cut(*who);
  login.pid = line.pid;
  login.failures_before = waiting.failures_before;
  if (logins_.size() >= limits_.max_pending) {
    logins_.pop_front();
    ++counters_.dropped;
  }
  ++counters_.logins;
  logins_.push_back(std::move(login));
}

}  // namespace culprit
