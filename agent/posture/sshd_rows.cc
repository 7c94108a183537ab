// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/sshd_rows.h"

#include <algorithm>
#include <array>

#include "agent/posture/sshd_lexer.h"
#include "agent/posture/sshd_patterns.h"

namespace culprit {
namespace {

using Judgement = std::optional<Weakness>;
using S = Severity;

const std::string& Text(const PolicyContext& c, std::string_view keyword) {
  return ValueOf(*c.settings, keyword).text;
}
bool On(const PolicyContext& c, std::string_view keyword) { return Text(c, keyword) == "yes"; }

int Number(const PolicyContext& c, std::string_view keyword) {
  return SshdInt(Text(c, keyword)).value_or(0);
}

bool IsRoot(const PolicyContext& c) { return c.account != nullptr && c.account->uid == 0; }

// Of a method that takes the account's password.
Judgement ByPassword(const PolicyContext& c, std::string_view method) {
  if (!MethodSuffices(*c.settings, method)) return std::nullopt;
  const std::string& root = Text(c, "permitrootlogin");
  if (IsRoot(c) && root != "yes") return std::nullopt;
  const PasswordState state = c.account == nullptr ? PasswordState::kUnknown : c.account->password;
  if (state == PasswordState::kLocked) return std::nullopt;
  if (c.source == SourceClass::kLoopback)
    return Weakness{S::kMedium, "passwords are accepted, from this host itself"};
  if (state == PasswordState::kUnknown)
    return Weakness{S::kHigh, "passwords are accepted: whoever guesses or has bought one is in"};
  return Weakness{S::kCritical,
                  "passwords are accepted, and an account has one that can be guessed"};
}

Judgement Password(const PolicyContext& c) {
  return On(c, "passwordauthentication") ? ByPassword(c, "password") : std::nullopt;
}
Judgement Keyboard(const PolicyContext& c) {
  const bool asks = On(c, "kbdinteractiveauthentication") && On(c, "usepam");
  return asks ? ByPassword(c, "keyboard-interactive") : std::nullopt;
}
Judgement EmptyPasswords(const PolicyContext& c) {
  if (!On(c, "permitemptypasswords")) return std::nullopt;
  return Weakness{S::kCritical, "accounts without a password let anybody in"};
}
Judgement RootLogin(const PolicyContext& c) {
  if (c.account != nullptr && !IsRoot(c)) return std::nullopt;
  if (On(c, "permitrootlogin"))
    return Weakness{S::kHigh,
                    "root may log in directly, by every method: no second secret, and no "
                    "trace of which person it was"};
  if (Text(c, "permitrootlogin") != "without-password") return std::nullopt;
  return Weakness{S::kLow, "root may log in directly with a key: nothing says which person it was"};
}
Judgement RootForced(const PolicyContext& c) {
  if (c.account != nullptr && !IsRoot(c)) return std::nullopt;
  if (Text(c, "permitrootlogin") != "forced-commands-only") return std::nullopt;
  return Weakness{S::kInfo, "root may log in with keys that have a command of their own"};
}
Judgement PubkeyOff(const PolicyContext& c) {
  if (Text(c, "pubkeyauthentication") != "no") return std::nullopt;
  return Weakness{S::kInfo, "keys are not accepted, so what is left are weaker methods"};
}
Judgement HostBased(const PolicyContext& c) {
  if (!On(c, "hostbasedauthentication")) return std::nullopt;
  return Weakness{S::kHigh, "whoever owns a trusted host owns its users here"};
}
Judgement IgnoreRhosts(const PolicyContext& c) {
  if (Text(c, "ignorerhosts") == "yes") return std::nullopt;
  return Weakness{On(c, "hostbasedauthentication") ? S::kHigh : S::kLow,
                  "users may trust hosts by .rhosts and .shosts once host-based login is on"};
}
Judgement UserEnvironment(const PolicyContext& c) {
  if (Text(c, "permituserenvironment") == "no") return std::nullopt;
  return Weakness{S::kHigh,
                  "users set variables of sshd's children (LD_PRELOAD): a way round "
                  "forced commands"};
}
Judgement StrictModesOff(const PolicyContext& c) {
  if (Text(c, "strictmodes") != "no") return std::nullopt;
  return Weakness{S::kHigh, "key files that others can write are accepted"};
}

bool Forwards(const PolicyContext& c, std::string_view way) {
  const std::string& tcp = Text(c, "allowtcpforwarding");
  return !On(c, "disableforwarding") && (tcp == "yes" || tcp == "all" || tcp == way);
}
Judgement TcpForwarding(const PolicyContext& c) {
  if (!Forwards(c, "local") && !Forwards(c, "remote")) return std::nullopt;
  return Weakness{S::kMedium, "whoever logs in can use this host as a relay (ssh -D, -L, -R)"};
}
Judgement OpenTo(const PolicyContext& c) {
  if (!Forwards(c, "local") || Text(c, "permitopen") != "any") return std::nullopt;
  return Weakness{S::kMedium, "forwarded connections may go to any address"};
}
Judgement ListenOn(const PolicyContext& c) {
  if (!Forwards(c, "remote") || Text(c, "permitlisten") != "any") return std::nullopt;
  return Weakness{S::kMedium, "a client may listen on any port of this host"};
}
Judgement GatewayPorts(const PolicyContext& c) {
  if (Text(c, "gatewayports") == "no" || !Forwards(c, "remote")) return std::nullopt;
  return Weakness{S::kMedium, "ports that a client forwards are open to other hosts"};
}
Judgement Tunnel(const PolicyContext& c) {
  if (Text(c, "permittunnel") == "no" || On(c, "disableforwarding")) return std::nullopt;
  return Weakness{S::kMedium, "a client may join this host's network by a tunnel device"};
}
Judgement AgentForwarding(const PolicyContext& c) {
  if (!On(c, "allowagentforwarding") || On(c, "disableforwarding")) return std::nullopt;
  return Weakness{S::kLow, "root of this host can use the keys of those who forward their agent"};
}
Judgement X11(const PolicyContext& c) {
  if (!On(c, "x11forwarding") || On(c, "disableforwarding")) return std::nullopt;
  return Weakness{S::kLow, "root of this host can read the screens of those who forward X11"};
}
Judgement StreamLocal(const PolicyContext& c) {
  if (Text(c, "allowstreamlocalforwarding") == "no" || On(c, "disableforwarding"))
    return std::nullopt;
  return Weakness{S::kLow, "sockets of this host (docker's, for one) can be forwarded"};
}
Judgement LogLevel(const PolicyContext& c) {
  const std::string& level = Text(c, "loglevel");
  if (level == "VERBOSE" || level.compare(0, 5, "DEBUG") == 0) return std::nullopt;
  if (level == "INFO")
    return Weakness{S::kMedium,
                    "the log does not say by which line of which file a key was let in"};
  return Weakness{S::kHigh, "the log does not say who logs in"};
}
Judgement AuthTries(const PolicyContext& c) {
  const int tries = Number(c, "maxauthtries");
  if (tries <= 4) return std::nullopt;
  return Weakness{S::kLow, std::to_string(tries) + " tries a connection"};
}
Judgement GraceTime(const PolicyContext& c) {
  const int grace = Number(c, "logingracetime");
  if (grace > 0 && grace <= 60) return std::nullopt;
  return Weakness{S::kLow, "connections that never log in are held for long"};
}
Judgement Startups(const PolicyContext& c) {
  constexpr std::array<int, 3> kMost = {10, 100, 60};
  const auto parts = SplitBy(Text(c, "maxstartups"), ':');
  bool many = false;
  for (std::size_t i = 0; i < parts.size() && i < kMost.size(); ++i)
    many |= SshdInt(parts[i]).value_or(0) > kMost.at(i);
  if (!many) return std::nullopt;
  return Weakness{S::kLow, "many connections may wait for their login at once"};
}
Judgement Sessions(const PolicyContext& c) {
  if (Number(c, "maxsessions") <= 10) return std::nullopt;
  return Weakness{S::kLow, "one login may open many sessions"};
}
Judgement Alive(const PolicyContext& c) {
  const int interval = Number(c, "clientaliveinterval"), count = Number(c, "clientalivecountmax");
  if (interval > 0 && count > 0 && interval <= 300 && count <= 3) return std::nullopt;
  return Weakness{S::kLow, "sessions whose client is gone stay open"};
}
Judgement RsaSize(const PolicyContext& c) {
  if (Number(c, "requiredrsasize") >= 2048) return std::nullopt;
  return Weakness{S::kMedium, "RSA keys of less than 2048 bits are accepted"};
}

// Names of a list that match one of the patterns.
std::string Among(const std::string& list, std::string_view patterns) {
  std::string found;
  for (const std::string& name : SplitBy(list, ','))
    if (MatchPatternList(name, patterns) == 1) found += (found.empty() ? "" : ", ") + name;
  return found;
}
Judgement WeakNames(const PolicyContext& c, std::string_view keyword, std::string_view broken,
                    std::string_view ageing) {
  const std::string bad = Among(Text(c, keyword), broken);
  if (!bad.empty()) return Weakness{S::kHigh, "offers what is broken: " + bad};
  const std::string old = Among(Text(c, keyword), ageing);
  if (old.empty()) return std::nullopt;
  return Weakness{S::kLow, "offers what is ageing: " + old};
}

constexpr std::string_view kBadKex = "*-sha1,*-sha1-*,*group1-*";
constexpr std::string_view kBadCiphers = "*-cbc,*-cbc@*,arcfour*,none";
constexpr std::string_view kBadMacs = "hmac-md5*,*-96,*-96-*,hmac-ripemd*,none";
constexpr std::string_view kOldMacs = "hmac-sha1*,umac-64*";
constexpr std::string_view kBadKeys = "ssh-rsa,ssh-rsa-cert-*,ssh-dss,ssh-dss-cert-*";

Judgement Kex(const PolicyContext& c) { return WeakNames(c, "kexalgorithms", kBadKex, ""); }
Judgement GssKex(const PolicyContext& c) {
  if (!On(c, "gssapikeyexchange")) return std::nullopt;
  return WeakNames(c, "gssapikexalgorithms", kBadKex, "");
}
Judgement KexToCome(const PolicyContext& c) {
  if (!Among(Text(c, "kexalgorithms"), "sntrup*,mlkem*").empty()) return std::nullopt;
  return Weakness{S::kInfo, "what is recorded today can be read once there are quantum computers"};
}
Judgement Ciphers(const PolicyContext& c) { return WeakNames(c, "ciphers", kBadCiphers, ""); }
Judgement Macs(const PolicyContext& c) { return WeakNames(c, "macs", kBadMacs, kOldMacs); }
Judgement HostKeys(const PolicyContext& c) {
  return WeakNames(c, "hostkeyalgorithms", kBadKeys, "");
}
Judgement UserKeys(const PolicyContext& c) {
  return WeakNames(c, "pubkeyacceptedalgorithms", kBadKeys, "");
}
Judgement Ca(const PolicyContext& c) {
  if (Text(c, "trustedusercakeys") == "none") return std::nullopt;
  const bool limited = Text(c, "authorizedprincipalsfile") != "none" ||
                       Text(c, "authorizedprincipalscommand") != "none";
  if (limited && Text(c, "revokedkeys") != "none") return std::nullopt;
  return Weakness{S::kMedium, limited ? "certificates of a user CA are accepted, and none can be "
                                        "revoked (RevokedKeys)"
                                      : "every certificate of a user CA that names the user is "
                                        "accepted: no list of principals"};
}

constexpr std::string_view kKeyFirst =
    "make sure that a key works for everybody who needs to log in";

}  // namespace

const std::vector<ConfigRow>& ConfigRows() {
  static const auto* const kRows = new std::vector<ConfigRow>{
      {"cfg.password_auth", "passwordauthentication", Password, "PasswordAuthentication no",
       kKeyFirst, true},
      {"cfg.password_auth", "kbdinteractiveauthentication", Keyboard,
       "KbdInteractiveAuthentication no", kKeyFirst, true},
      {"cfg.empty_passwords", "permitemptypasswords", EmptyPasswords, "PermitEmptyPasswords no", "",
       true},
      {"cfg.root_login", "permitrootlogin", RootLogin, "PermitRootLogin no",
       "make sure that another user can log in and become root", true},
      {"cfg.root_forced_only", "permitrootlogin", RootForced, "PermitRootLogin no", "", true},
      {"cfg.pubkey_off", "pubkeyauthentication", PubkeyOff, "PubkeyAuthentication yes", "", true},
      {"cfg.hostbased", "hostbasedauthentication", HostBased, "HostbasedAuthentication no", "",
       true},
      {"cfg.ignore_rhosts", "ignorerhosts", IgnoreRhosts, "IgnoreRhosts yes", "", true},
      {"cfg.permit_user_env", "permituserenvironment", UserEnvironment, "PermitUserEnvironment no",
       "", false},
      {"cfg.strictmodes", "strictmodes", StrictModesOff, "StrictModes yes", "", false},
      {"cfg.tcp_forwarding", "allowtcpforwarding", TcpForwarding, "AllowTcpForwarding no",
       "keep it for those who need it by a Match block", true},
      {"cfg.permitopen_any", "permitopen", OpenTo, "PermitOpen none",
       "or name the addresses that are needed", true},
      {"cfg.permitopen_any", "permitlisten", ListenOn, "PermitListen none",
       "or name the ports that are needed", true},
      {"cfg.gateway_ports", "gatewayports", GatewayPorts, "GatewayPorts no", "", true},
      {"cfg.tunnel", "permittunnel", Tunnel, "PermitTunnel no", "", true},
      {"cfg.agent_fwd", "allowagentforwarding", AgentForwarding, "AllowAgentForwarding no", "",
       true},
      {"cfg.x11", "x11forwarding", X11, "X11Forwarding no", "", true},
      {"cfg.streamlocal", "allowstreamlocalforwarding", StreamLocal,
       "AllowStreamLocalForwarding no", "", true},
      {"cfg.loglevel", "loglevel", LogLevel, "LogLevel VERBOSE", "", true},
      {"cfg.maxauthtries", "maxauthtries", AuthTries, "MaxAuthTries 4", "", true},
      {"cfg.logingrace", "logingracetime", GraceTime, "LoginGraceTime 60", "", false},
      {"cfg.maxstartups", "maxstartups", Startups, "MaxStartups 10:30:60", "", false},
      {"cfg.maxsessions", "maxsessions", Sessions, "MaxSessions 10", "", true},
      {"cfg.clientalive", "clientaliveinterval", Alive,
       "ClientAliveInterval 300\nClientAliveCountMax 3", "", true},
      {"cfg.rsa_min", "requiredrsasize", RsaSize, "RequiredRSASize 2048",
       "needs OpenSSH 9.1 or later", true},
      {"cfg.kex", "kexalgorithms", Kex, "KexAlgorithms -*-sha1,*-sha1-*,*group1-*", "", false},
      {"cfg.kex", "gssapikexalgorithms", GssKex, "GSSAPIKeyExchange no", "", false},
      {"cfg.kex_pq", "kexalgorithms", KexToCome, "",
       "put sntrup761x25519-sha512@openssh.com, or mlkem768x25519-sha256 from 9.9 on, first in "
       "KexAlgorithms",
       false},
      {"cfg.ciphers", "ciphers", Ciphers, "Ciphers -*-cbc,*-cbc@*,arcfour*", "", false},
      {"cfg.macs", "macs", Macs, "MACs -hmac-sha1*,umac-64*,hmac-md5*,*-96,*-96-*", "", false},
      {"cfg.hostkeyalgs", "hostkeyalgorithms", HostKeys, "HostKeyAlgorithms -ssh-rsa*,ssh-dss*", "",
       false},
      {"cfg.pubkeyalgs", "pubkeyacceptedalgorithms", UserKeys,
       "PubkeyAcceptedAlgorithms -ssh-rsa*,ssh-dss*", "", true},
      {"cfg.trusted_ca", "trustedusercakeys", Ca, "",
       "set AuthorizedPrincipalsFile and RevokedKeys, or TrustedUserCAKeys none", true},
  };
  return *kRows;
}

}  // namespace culprit
