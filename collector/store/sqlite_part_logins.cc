// SPDX-License-Identifier: Apache-2.0
// PartWriter: who came in.
#include "collector/store/sqlite_part_writer.h"

namespace culprit {
namespace {

// What a new part takes over of the one before it, so that a session is found where its processes
// are.
constexpr std::chrono::hours kGoesOn{31 * 24};
constexpr std::chrono::hours kOver{24};
constexpr int kMostCarried = 20'000;

}  // namespace

// A session is told of again when more is known; of two the one with more links says more, and one
// that a restarted agent tells of has fewer.
Status PartWriter::PrepareLogins() {
  TRY(session_, db_.Prepare("INSERT INTO session VALUES(?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
                            "audit=coalesce(audit, excluded.audit), boot=excluded.boot, "
                            "began=min(began, excluded.began), ended=max(ended, excluded.ended), "
                            "definition=CASE WHEN excluded.links>=links THEN excluded.definition "
                            "ELSE definition END, links=max(links, excluded.links)"));
  TRY(login_, db_.Prepare("INSERT OR IGNORE INTO login VALUES(?,?,?,?,?)"));
  TRY(login_failure_,
      db_.Prepare("INSERT INTO login_failure VALUES(?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET "
                  "count=max(count, excluded.count)"));
  return Ok();
}

Status PartWriter::WriteLogins(const PendingBatch& batch) {
  for (const SessionRecord& s : batch.sessions) {
    const std::string definition = s.session.SerializeAsString();
    session_.Bind(1, s.host);
    session_.Bind(2, s.id().value());
    session_.BindNull(3);
    if (s.session.audit_session() != kNoSession) {
      session_.Bind(3, std::uint32_t{s.session.audit_session()});
    }
    session_.Bind(4, s.boot);
    session_.Bind(5, s.began);
    session_.Bind(6, s.ended);
    session_.Bind(7, s.session.links_size());
    session_.BindBlob(8, definition);
    TRY_VOID(session_.Run());
  }
  for (const LoginRecord& l : batch.logins) {
    const std::string definition = l.login.SerializeAsString();
    login_.Bind(1, l.host);
    login_.Bind(2, std::uint64_t{l.login.session_id()});
    login_.Bind(3, l.at);
    login_.BindText(4, l.login.key_fingerprint());
    login_.BindBlob(5, definition);
    TRY_VOID(login_.Run());
  }
  for (const LoginFailureRecord& f : batch.login_failures) {
    login_failure_.Bind(1, f.host);
    login_failure_.BindBlob(2, f.run.AsBytes());
    login_failure_.Bind(3, f.minute);
    login_failure_.Bind(4, f.address.value_or(IpAddress{}));
    login_failure_.BindText(5, f.user);
    login_failure_.Bind(6, f.invalid_user ? 1 : 0);
    login_failure_.BindText(7, f.method);
    login_failure_.Bind(8, f.count);
    TRY_VOID(login_failure_.Run());
  }
  return Ok();
}

Status PartWriter::CopySessions(const std::string& path) {
  TRY(SqliteStatement attach, db_.Prepare("ATTACH ? AS older"));
  attach.BindText(1, path);
  TRY_VOID(attach.Run());
  const std::string since_on = std::to_string(ToNs(extent_.created - kGoesOn));
  const std::string since_over = std::to_string(ToNs(extent_.created - kOver));
  const std::string sql =
      "INSERT OR IGNORE INTO session SELECT * FROM older.session WHERE (ended=0 AND began>" +
      since_on + ") OR ended>" + since_over + " ORDER BY began DESC LIMIT " +
      std::to_string(kMostCarried) +
      "; INSERT OR IGNORE INTO login SELECT l.* FROM older.login l JOIN main.session s USING(host, "
      "session)";
  const Status copied = db_.Exec(sql.c_str());
  TRY_VOID(db_.Exec("DETACH older"));
  return copied;
}

}  // namespace culprit
