// SPDX-License-Identifier: Apache-2.0
#include "collector/access_commands.h"

#include <grp.h>
#include <pwd.h>
#include <spdlog/fmt/fmt.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "collector/audit/audit_log.h"
#include "collector/enrol/enrol_store.h"
#include "collector/enrol/join_token.h"
#include "common/file.h"
#include "common/text.h"
#include "common/units.h"

namespace culprit {
namespace {

using Json = nlohmann::ordered_json;

struct Access {
  std::unique_ptr<AuditLog> audit;
  std::unique_ptr<EnrolStore> store;
  std::string actor;
};

// sudo's user where there is one: who it was, not what he became.
std::string LocalUser() {
  const char* sudo = std::getenv("SUDO_USER");  // NOLINT(concurrency-mt-unsafe): one thread
  if (sudo != nullptr && *sudo != '\0') return std::string(sudo);
  const passwd* user = getpwuid(getuid());  // NOLINT(concurrency-mt-unsafe): one thread
  return user != nullptr ? user->pw_name : std::to_string(getuid());
}

// Root would leave files behind that the collector could not write.
Status BecomeOwnerOf(const std::string& directory) {
  struct stat st {};
  if (geteuid() != 0 || stat(directory.c_str(), &st) != 0 || st.st_uid == 0) return Ok();
  if (setgroups(0, nullptr) != 0 || setegid(st.st_gid) != 0 || seteuid(st.st_uid) != 0) {
    return ErrnoError("become the owner of " + directory);
  }
  return Ok();
}

Result<Access> OpenAccess(const CollectorConfig& config) {
  Access access;
  access.actor = "local:" + LocalUser();
  TRY_VOID(MakeDirectories(config.data_dir, 0700));
  TRY_VOID(BecomeOwnerOf(config.data_dir));
  TRY(access.audit, AuditLog::Open({config.audit_dir(), config.audit.segment_bytes}));
  TRY(access.store, EnrolStore::Open(config.enrol_path()));
  return access;
}

// Before the action: none must be without its line.
Status Note(Access& access, const char* action, std::string detail) {
  return access.audit->Append({access.actor, "", "", action, "ok", std::move(detail)},
                              ReadWallClock());
}

std::string StateOf(const TokenRecord& token, WallTime now) {
  if (ToNs(token.revoked) != 0) return "revoked";
  if (now > token.expires) return "expired";
  return token.uses >= token.max_uses ? "used up" : "good";
}

std::string StateOf(const EnrolledHost& host, WallTime now) {
  if (host.may_enrol_again) return "may enrol again";
  if (ToNs(host.revoked) != 0) return "revoked";
  return now > host.not_after ? "expired" : "good";
}

std::string TimeOrEmpty(WallTime time) { return ToNs(time) == 0 ? "" : FormatUtc(time); }

std::string OffNote(const CollectorConfig& config) {
  return config.enrol.listen.empty()
             ? "Note: enrol.listen is not set in collector.toml, so no host can enrol yet.\n"
             : "";
}

}  // namespace

Result<std::string> CreateTokenCommand(const CollectorConfig& config, const TokenArgs& args) {
  const auto life = ParseDuration(args.life);
  if (!life || life->count() <= 0) {
    return InvalidArgument("--for: write for instance \"1h\" or \"7d\"");
  }
  TRY(Access access, OpenAccess(config));
  std::array<std::uint8_t, kTokenBytes> random{};
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return ErrnoError("getrandom");
  }
  const std::string token = MakeToken(random);
  TokenRecord record;
  record.hash = TokenHash(token);
  record.note = args.note;
  record.host = args.host;
  record.max_uses = args.uses;
  record.created = ReadWallClock();
  record.expires = record.created + std::chrono::duration_cast<std::chrono::nanoseconds>(*life);
  const std::string id = TokenId(record.hash), until = FormatUtc(record.expires);
  TRY_VOID(Note(access, "token create",
                fmt::format("token {} uses {} until {} host \"{}\" note \"{}\"", id, args.uses, until,
                            args.host, args.note)));
  TRY_VOID(access.store->AddToken(record));
  if (args.json) {
    return Json{{"token", token}, {"id", id}, {"uses", args.uses}, {"expires", until}}.dump() + "\n";
  }
  return fmt::format(
      "{}\n\nGood for {} until {}; shown this once. It is called {} in lists.\n"
      "On the host: culprit-agent enrol --collector HOST:PORT --ca-fingerprint SHA256, with the "
      "token in CULPRIT_TOKEN\n{}",
      token, args.uses == 1 ? "one host" : fmt::format("{} hosts", args.uses), until, id,
      OffNote(config));
}

Result<std::string> ListTokensCommand(const CollectorConfig& config, const TokenArgs& args) {
  TRY(Access access, OpenAccess(config));
  TRY(const std::vector<TokenRecord> tokens, access.store->Tokens());
  const WallTime now = ReadWallClock();
  std::string out;
  if (!args.json) {
    out = fmt::format("{:<9} {:<8} {:>9}  {:<24}  {:<24} {}\n", "TOKEN", "STATE", "USED", "EXPIRES",
                      "HOST", "NOTE");
  }
  for (const TokenRecord& token : tokens) {
    const std::string id = TokenId(token.hash), state = StateOf(token, now);
    if (args.json) {
      out += Json{{"id", id},
                  {"state", state},
                  {"uses", token.uses},
                  {"max_uses", token.max_uses},
                  {"created", FormatUtc(token.created)},
                  {"expires", FormatUtc(token.expires)},
                  {"host", token.host},
                  {"note", token.note}}
                 .dump() +
             "\n";
    } else {
      out += fmt::format("{:<9} {:<8} {:>9}  {:<24}  {:<24} {}\n", id, state,
                         fmt::format("{}/{}", token.uses, token.max_uses), FormatUtc(token.expires),
                         token.host.empty() ? "any" : EscapeText(token.host),
                         EscapeText(token.note));
    }
  }
  return out;
}

Result<std::string> RevokeTokenCommand(const CollectorConfig& config, const TokenArgs& args) {
  TRY(Access access, OpenAccess(config));
  TRY_VOID(Note(access, "token revoke", "token " + args.id));
  TRY(const TokenRecord token, access.store->RevokeToken(args.id, ReadWallClock()));
  return fmt::format("token {} is revoked; hosts that enrolled by it stay enrolled\n",
                     TokenId(token.hash));
}

Result<std::string> ListHostsCommand(const CollectorConfig& config, bool json) {
  TRY(Access access, OpenAccess(config));
  TRY(const std::vector<EnrolledHost> hosts, access.store->Hosts());
  const WallTime now = ReadWallClock();
  std::string out;
  if (!json) {
    out = fmt::format("{:<24} {:<15} {:<15} {:<24}  {:<24}  {}\n", "HOST", "STATE", "BY",
                      "ENROLLED", "CERTIFICATE UNTIL", "AGENT");
  }
  for (const EnrolledHost& host : hosts) {
    if (json) {
      out += Json{{"host", host.host_id},
                  {"state", StateOf(host, now)},
                  {"agent_id", host.agent_id.ToString()},
                  {"method", host.method},
                  {"binding", host.binding},
                  {"key_sha256", host.key},
                  {"enrolled", FormatUtc(host.enrolled)},
                  {"renewed", FormatUtc(host.renewed)},
                  {"not_after", FormatUtc(host.not_after)},
                  {"revoked", TimeOrEmpty(host.revoked)},
                  {"revoked_why", host.revoked_why}}
                 .dump(-1, ' ', false, Json::error_handler_t::replace) +
             "\n";
    } else {
      out += fmt::format("{:<24} {:<15} {:<15} {:<24}  {:<24}  {}\n", EscapeText(host.host_id),
                         StateOf(host, now), EscapeText(host.method), FormatUtc(host.enrolled),
                         FormatUtc(host.not_after), host.agent_id.ToString());
    }
  }
  return out;
}

Result<std::string> RevokeCommand(const CollectorConfig& config, const std::string& what,
                                  const std::string& why) {
  TRY(Access access, OpenAccess(config));
  TRY_VOID(Note(access, "revoke", fmt::format("{}: {}", what, why)));
  TRY(const std::string found, access.store->Revoke(what, why, ReadWallClock()));
  return fmt::format(
      "{} is revoked: a running collector cuts it off within a second and takes nothing from it "
      "any more\nWhat it sent before stays. `culprit-collector allow` lets the host enrol anew.\n",
      found);
}

Result<std::string> AllowCommand(const CollectorConfig& config, const std::string& what) {
  TRY(Access access, OpenAccess(config));
  TRY_VOID(Note(access, "allow", what));
  TRY(const EnrolledHost host, access.store->AllowAgain(what));
  return fmt::format("{} may enrol once more, with a new key; its old key counts until then{}\n",
                     EscapeText(host.host_id),
                     ToNs(host.revoked) != 0 ? " no more, for it was revoked" : "");
}

}  // namespace culprit
