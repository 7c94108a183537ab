// SPDX-License-Identifier: Apache-2.0
// SqliteStore: who came in. Each part has the sessions that went on when it began, with their
// logins, so that one part tells all of a session.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "collector/store/part_scan.h"
#include "collector/store/sqlite_store.h"

namespace culprit {
namespace {

constexpr char kColumns[] =
    "SELECT s.host,s.boot,s.began,s.ended,s.definition,l.t,l.definition FROM ";
constexpr char kSessions[] = "session s LEFT JOIN login l USING(host, session) WHERE 1";
constexpr char kLogins[] = "login l JOIN session s USING(host, session) WHERE 1";
// By how much a host's clock may be set while it runs, before its boot is taken for another one.
constexpr std::chrono::seconds kSameBoot{60};

template <class Message>
void Parse(Message* message, std::string_view bytes) {
  (void)message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

SessionRecord ReadSession(const SqliteStatement& s) {
  SessionRecord out;
  out.host = s.U32(0);
  out.boot = s.Time(1);
  out.began = s.Time(2);
  out.ended = s.Time(3);
  Parse(&out.session, s.Blob(4));
  if (s.Blob(6).empty()) return out;
  out.login = LoginRecord{out.host, s.Time(5), {}};
  Parse(&out.login->login, s.Blob(6));
  return out;
}

bool Matches(const LoginPredicate& where, const SessionRecord& record) {
  const auto is_user = [&](const std::string& user) { return user == where.user; };
  const bool named = record.login && is_user(record.login->login.user());
  if (!where.user.empty() && !named && !is_user(record.session.user())) return false;
  if (!where.address) return true;
  const auto from_there = [&](const std::string& bytes) {
    const auto address = IpAddress::FromBytes(bytes);
    return address && where.address->Contains(*address);
  };
  return from_there(record.session.address()) ||
         (record.login && from_there(record.login->login.address()));
}

// Calls `visit` for what `condition` selects, in its order, until it returns false.
Status Visit(const PartFile& part, const std::string& condition, const char* tables,
             const std::function<void(SqliteStatement*)>& bind,
             const std::function<bool(SessionRecord)>& visit) {
  TRY(PartFile::Lease db, part.Open());
  TRY(SqliteStatement s, db->Prepare(std::string(kColumns) + tables + condition));
  bind(&s);
  while (true) {
    TRY(const bool row, s.Step());
    if (!row || !visit(ReadSession(s))) return Ok();
  }
}

std::string ConditionOf(const LoginPredicate& where) {
  std::string sql;
  if (where.host) sql += " AND s.host=?";
  if (where.from) sql += " AND s.began>=?";
  if (where.to) sql += " AND s.began<?";
  if (!where.key_fingerprint.empty()) sql += " AND l.fingerprint!='' AND l.fingerprint=?";
  return sql + " ORDER BY s.began DESC";
}

void Bind(const LoginPredicate& where, SqliteStatement* s) {
  int i = 0;
  if (where.host) s->Bind(++i, *where.host);
  if (where.from) s->Bind(++i, *where.from);
  if (where.to) s->Bind(++i, *where.to);
  if (!where.key_fingerprint.empty()) s->BindText(++i, where.key_fingerprint);
}

}  // namespace

Result<std::vector<SessionRecord>> SqliteStore::Sessions(const LoginPredicate& where,
                                                         std::size_t limit) const {
  std::vector<SessionRecord> out;
  std::set<std::pair<std::uint32_t, ProcessId>> seen;  // the newest part knows most
  const std::string condition = ConditionOf(where);
  const char* tables = where.key_fingerprint.empty() ? kSessions : kLogins;
  const auto newer = [](const SessionRecord& a, const SessionRecord& b) {
    return a.began > b.began;
  };
  for (const SharedPart& part : PartsSince(where.from)) {
    const auto known = static_cast<std::ptrdiff_t>(out.size());
    const bool full = !out.empty() && out.size() >= limit;
    const WallTime oldest = full ? out.back().began : WallTime::min();
    const Status status = Visit(
        *part, condition, tables, [&](SqliteStatement* s) { Bind(where, s); },
        [&](SessionRecord record) {
          if (full && record.began <= oldest) return false;
          if (!seen.emplace(record.host, record.id()).second) return true;
          if (Matches(where, record)) out.push_back(std::move(record));
          return out.size() - static_cast<std::size_t>(known) < limit;
        });
    if (!status) (void)PartError(*part, status.error());
    std::inplace_merge(out.begin(), out.begin() + known, out.end(), newer);
    if (out.size() > limit) out.resize(limit);
  }
  return out;
}

Result<std::optional<SessionRecord>> SqliteStore::FindSession(std::uint32_t host, ProcessId id,
                                                              WallTime since) const {
  std::optional<SessionRecord> found;
  for (const SharedPart& part : PartsSince(since)) {
    const Status status = Visit(
        *part, " AND s.host=? AND s.session=?", kSessions,
        [&](SqliteStatement* s) {
          s->Bind(1, host);
          s->Bind(2, id.value());
        },
        [&](SessionRecord record) {
          found = std::move(record);
          return false;
        });
    if (found) break;
    if (!status) (void)PartError(*part, status.error());
  }
  return found;
}

Result<std::optional<SessionRecord>> SqliteStore::FindAuditSession(std::uint32_t host,
                                                                   std::uint32_t audit_session,
                                                                   WallTime boot,
                                                                   WallTime since) const {
  std::optional<SessionRecord> found;
  for (const SharedPart& part : PartsSince(since)) {
    const Status status = Visit(
        *part, " AND s.audit IS NOT NULL AND s.audit=? AND s.host=?", kSessions,
        [&](SqliteStatement* s) {
          s->Bind(1, audit_session);
          s->Bind(2, host);
        },
        [&](SessionRecord record) {
          const auto apart = record.boot > boot ? record.boot - boot : boot - record.boot;
          if (apart > kSameBoot) return true;
          found = std::move(record);
          return false;
        });
    if (found) break;
    if (!status) (void)PartError(*part, status.error());
  }
  return found;
}

Result<std::vector<LoginFailureRecord>> SqliteStore::LoginFailures(const LoginPredicate& where,
                                                                   std::size_t limit) const {
  using Key = std::tuple<std::uint32_t, Uuid, WallTime, IpAddress, std::string, bool, std::string>;
  std::map<Key, std::uint64_t> counts;  // a minute may lie in two parts, the later one counts on
  std::string sql =
      "SELECT host,run,minute,address,user,invalid,method,count FROM login_failure WHERE 1";
  if (where.host) sql += " AND host=?";
  if (where.from) sql += " AND minute>=?";
  if (where.to) sql += " AND minute<?";
  if (!where.user.empty()) sql += " AND user=?";
  sql += " ORDER BY minute DESC";
  for (const SharedPart& part : PartsSince(where.from)) {
    TRY(PartFile::Lease db, part->Open());
    TRY(SqliteStatement s, db->Prepare(sql));
    int i = 0;
    if (where.host) s.Bind(++i, *where.host);
    if (where.from) s.Bind(++i, *where.from);
    if (where.to) s.Bind(++i, *where.to);
    if (!where.user.empty()) s.BindText(++i, where.user);
    for (std::size_t taken = 0; taken < limit;) {
      TRY(const bool row, s.Step());
      if (!row) break;
      const IpAddress address = s.Address(3);
      if (where.address && !where.address->Contains(address)) continue;
      const auto run = Uuid::FromBytes(s.Blob(1));
      std::uint64_t& count =
          counts[{s.U32(0), run ? *run : Uuid{}, s.Time(2), address, std::string(s.Blob(4)),
                  s.Int(5) != 0, std::string(s.Blob(6))}];
      count = std::max(count, s.UInt(7));
      ++taken;
    }
  }
  std::vector<LoginFailureRecord> out;
  for (const auto& [key, count] : counts) {
    const auto& [host, run, minute, address, user, invalid, method] = key;
    LoginFailureRecord record{host, run, minute, {}, user, method, invalid, count};
    if (!address.IsUnspecified()) record.address = address;
    out.push_back(std::move(record));
  }
  std::ranges::stable_sort(out, [](const auto& a, const auto& b) { return a.minute > b.minute; });
  if (out.size() > limit) out.resize(limit);
  return out;
}

}  // namespace culprit
