// SPDX-License-Identifier: Apache-2.0
// SessionBook: what lines of a log add, and how a line finds its process.
#include <algorithm>
#include <utility>

#include "agent/enrich/session_book.h"

namespace culprit {
namespace {

constexpr int kMaxAncestors = 64;
constexpr std::size_t kMaxText = 256;
constexpr std::chrono::minutes kHintHolds{2};  // EC2 Instance Connect takes a key back after one

std::string Cut(const std::string& text) { return text.substr(0, kMaxText); }

}  // namespace

void SessionBook::On(const LoginLine& line, BootTime now, std::uint32_t failures_before) {
  now_ = std::max(now_, now);
  switch (line.kind) {
    case LoginLineKind::kAccepted:
    case LoginLineKind::kConsole: {
      const WaitingLine waiting{line, now, failures_before};
      if (Join(waiting, false)) return;
      if (waiting_.size() >= limits_.max_waiting) {
        const WaitingLine oldest = std::exchange(waiting_.front(), {});
        waiting_.pop_front();
        Join(oldest, true);
      }
      waiting_.push_back(waiting);
      return;
    }
    case LoginLineKind::kKeyFound:
      return NoteHint(&found_at_, line.key_fingerprint, line.key_found_at);
    case LoginLineKind::kKeyHandedOut:
      return NoteHint(&principals_, line.key_fingerprint, line.principal);
    default:
      return;
  }
}

void SessionBook::NoteHint(std::deque<Hint>* hints, std::string key, std::string text) {
  if (hints->size() >= limits_.max_hints) hints->pop_front();
  hints->push_back({std::move(key), std::move(text), now_});
}

const std::string* SessionBook::FindHint(const std::deque<Hint>& hints,
                                         const std::string& key) const {
  const auto found = std::find_if(hints.rbegin(), hints.rend(), [&](const Hint& hint) {
    return hint.key == key && now_ - hint.at <= kHintHolds;
  });
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
    if (known->second.logged) {  // the line was read twice, or another one tells otherwise
      Contradict(&known->second, waiting.line);
      return true;
    }
    // Its audit session was seen first.
    Entry& entry = known->second;
    found.facts.audit_session = entry.facts.audit_session;
    found.facts.login_uid = entry.facts.login_uid;
    found.facts.serving = entry.facts.serving;
    found.facts.ended = entry.facts.ended;
    found.facts.began = entry.facts.began;
    found.facts.changes = entry.facts.changes;
    for (const SessionLinkFacts& link : entry.facts.links) {
      if (link.kind == SessionLinkKind::kAudit) found.facts.links.push_back(link);
    }
    entry.facts = found.facts;
    entry.logged = true;
    entry.key = waiting.line.key_fingerprint;
    CheckUser(&entry);
    dirty_.insert(entry.facts.id);
    PutLogin(waiting, entry);
    return true;
  }
  const ProcessKey root = found.root;
  if (!IsSet(root) && !MayTellUnconfirmed()) return true;
  Entry* entry = Begin(std::move(found.facts), root);
  if (entry == nullptr) return true;
  entry->logged = true;
  entry->key = waiting.line.key_fingerprint;
  if (const Process* process = processes_.Find(root); process != nullptr) {
    LookForChildren(*process, entry);
  }
  PutLogin(waiting, *entry);
  return true;
}

// Only what lets somebody in, as root: a text may name any pid. One that ended is known for a
// while.
const Process* SessionBook::OfPid(std::uint32_t pid, bool (*lets_in)(const Process&)) {
  const Process* live = processes_.FindLive(Tgid(pid));
  if (live != nullptr && lets_in(*live)) return live;
  const auto ended = std::find_if(ended_.rbegin(), ended_.rend(),
                                  [&](const ProcessKey& key) { return key.tgid == Tgid(pid); });
  const Process* found = ended == ended_.rend() ? nullptr : processes_.Find(*ended);
  return found != nullptr && lets_in(*found) ? found : nullptr;
}

// The sshd that was made for this connection: the topmost one above whoever has it that is not
// older than it. Of a connection that was there before the agent the age is not known: the topmost
// that runs as root and below another one.
const Process* SessionBook::RootOf(const Connection& connection) {
  const Process* found = nullptr;
  const Process* process = processes_.Find(connection.owner);
  for (int i = 0; i < kMaxAncestors && process != nullptr && IsSshd(*process); ++i) {
    const Process* parent = Parent(*process);
    const bool listens = connection.preexisting ? found != nullptr && found->uid == Uid{0} &&
                                                      (parent == nullptr || !IsSshd(*parent))
                                                : process->key.start < connection.began;
    if (listens) break;
    // Of one process the newest image.
    if (found == nullptr || found->key.tgid != process->key.tgid) found = process;
    process = parent;
  }
  return found;
}

// What the line says logged it; where it does not (sshd -E), the one whose connection has the
// line's address and port, if it is one.
const Process* SessionBook::LoginProcess(const LoginLine& line) {
  if (line.pid != 0) return OfPid(line.pid, &IsRootSshd);
  if (!line.from) return nullptr;
  const Process* found = nullptr;
  auto [it, end] = connections_.equal_range(*line.from);
  for (; it != end; ++it) {
    const Process* root = RootOf(it->second);
    if (root == nullptr || root->ended != BootTime{}) {
      if (found == nullptr) found = root;
      continue;
    }
    if (found != nullptr && found != root && found->ended == BootTime{}) return nullptr;
    found = root;
  }
  return found;
}

// `agrees`: it is that process's connection, as far as can be told.
const SessionBook::Connection* SessionBook::ConnectionOf(const LoginLine& line, const Process* root,
                                                         bool* agrees) {
  *agrees = false;
  if (!line.from) return nullptr;
  const Connection* newest = nullptr;
  auto [it, end] = connections_.equal_range(*line.from);
  for (; it != end; ++it) {
    const Connection& connection = it->second;
    // Until somebody behind the listener sends, it is known by its time alone: the process came
    // after it.
    const bool fits =
        root != nullptr && (IsSet(connection.owner) ? Descends(connection.owner, root->key)
                                                    : root->key.start >= connection.began);
    if (*agrees && !fits) continue;
    if (newest == nullptr || fits != *agrees || newest->began < connection.began) {
      newest = &connection;
      *agrees = fits;
    }
  }
  return newest;
}

bool SessionBook::JoinSsh(const WaitingLine& waiting, bool last_try, Entry* entry) {
  const LoginLine& line = waiting.line;
  SessionFacts& facts = entry->facts;
  const LinkConfidence sure = line.vouched ? LinkConfidence::kHigh : LinkConfidence::kMedium;
  const Process* root = LoginProcess(line);
  bool agrees = false;
  const Connection* connection = ConnectionOf(line, root, &agrees);
  if ((root == nullptr || connection == nullptr) && !last_try) return false;
  if (root != nullptr) {
    entry->root = root->key;
    facts.id = facts.root = root->id;
    facts.ended = root->ended;
    facts.links.push_back({SessionLinkKind::kProcess, sure,
                           line.vouched ? "the journal has the line from that sshd of root"
                           : line.pid != 0
                               ? "the line's pid is that of an sshd"
                               : "sshd's process for the connection from that address and port"});
  } else {
    ++counters_.unconfirmed;
    const std::int64_t at = line.at ? ToNs(*line.at) : static_cast<std::int64_t>(ToNs(waiting.at));
    const ProcessKey made{Tgid(line.pid), BootTimeFromNs(static_cast<std::uint64_t>(at)),
                          line.from ? line.from->port : 0U};
    facts.id = MakeProcessId(boot_id_, made);
    facts.links.push_back(
        {SessionLinkKind::kProcess, LinkConfidence::kLow,
         "no sshd with the line's pid or connection is known: the line alone says so"});
  }
  if (connection == nullptr) return true;
  facts.flow = connection->flow;
  facts.from = line.from;
  facts.links.push_back(
      {SessionLinkKind::kFlow, agrees ? sure : LinkConfidence::kLow,
       agrees ? "a connection of that sshd has the line's address and port"
              : "a connection has the line's address and port, but not of that sshd"});
  return true;
}

bool SessionBook::JoinConsole(const WaitingLine& waiting, bool last_try, Entry* entry) {
  const Process* root = OfPid(waiting.line.pid, &IsRootLogin);
  if (root == nullptr && !last_try) return false;
  SessionFacts& facts = entry->facts;
  if (root != nullptr) {
    entry->root = root->key;
    facts.id = facts.root = root->id;
    facts.ended = root->ended;
    facts.links.push_back({SessionLinkKind::kProcess,
                           waiting.line.vouched ? LinkConfidence::kHigh : LinkConfidence::kMedium,
                           "the line's pid is that of root's login"});
    return true;
  }
  ++counters_.unconfirmed;
  facts.id = MakeProcessId(boot_id_, {Tgid(waiting.line.pid), waiting.at, 0});
  facts.links.push_back({SessionLinkKind::kProcess, LinkConfidence::kLow,
                         "no login with the line's pid is known: the line alone says so"});
  return true;
}

// Those that were forked before the session was known.
void SessionBook::LookForChildren(const Process& root, Entry* entry) {
  processes_.ForEachProcess([&](const Process& process) {
    if (process.parent_key.tgid == root.key.tgid && process.parent_key.start == root.key.start &&
        process.session_id != kNoSession && process.session_id != root.session_id) {
      SetAudit(entry, process.session_id, process.login_uid);
    }
  });
  // One that was there before the agent may have got its own by the login meanwhile.
  const Process* starter = root.preexisting ? Parent(root) : nullptr;
  if (starter != nullptr && root.session_id != kNoSession &&
      starter->session_id != root.session_id) {
    SetAudit(entry, root.session_id, root.login_uid,
             "the login process has this audit session, and what started it has not");
  }
  if (entry->facts.kind != LoginKind::kConsole) FindServing(entry);
}

// The kernel's login uid is what sshd asked for: a line that names another user is not the login's.
void SessionBook::CheckUser(Entry* entry) {
  SessionFacts& facts = entry->facts;
  if (!entry->logged || entry->doubted || facts.login_uid == kNoUid) return;
  const std::string name = users_.NameOf(facts.login_uid);
  if (name.empty() || name == facts.user) return;
  entry->doubted = true;
  facts.links.push_back(
      {SessionLinkKind::kAudit, LinkConfidence::kLow,
       "the kernel's login uid is that of " + Cut(name) + ", the line names another user"});
  dirty_.insert(facts.id);
}

void SessionBook::Contradict(Entry* entry, const LoginLine& line) {
  if (entry->doubted ||
      (Cut(line.user) == entry->facts.user && line.key_fingerprint == entry->key)) {
    return;
  }
  entry->doubted = true;
  entry->facts.links.push_back({SessionLinkKind::kProcess, LinkConfidence::kLow,
                                "another line tells a different login of the same process: as " +
                                    Cut(line.user) + " " + Cut(line.key_fingerprint)});
  dirty_.insert(entry->facts.id);
}

// Lines that no process stands behind cost nothing to write.
bool SessionBook::MayTellUnconfirmed() {
  if (now_ - unconfirmed_since_ > std::chrono::minutes(1)) {
    unconfirmed_since_ = now_;
    unconfirmed_ = 0;
  }
  if (++unconfirmed_ <= limits_.max_unconfirmed) return true;
  ++counters_.dropped;
  return false;
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
