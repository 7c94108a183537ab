// SPDX-License-Identifier: Apache-2.0
// Algorithms and defaults of sshd 9.2 as Debian 12 builds it.
#include <algorithm>
#include <array>
#include <utility>

#include "agent/posture/sshd_keywords.h"
#include "agent/posture/sshd_lexer.h"
#include "agent/posture/sshd_patterns.h"

namespace culprit {
namespace {

constexpr std::string_view kDefaultCiphers =
    "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,aes128-gcm@openssh.com,"
    "aes256-gcm@openssh.com";
constexpr std::string_view kAllCiphers =
    "3des-cbc,aes128-cbc,aes192-cbc,aes256-cbc,aes128-ctr,aes192-ctr,aes256-ctr,"
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com";
constexpr std::string_view kDefaultMacs =
    "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,"
    "hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-64@openssh.com,"
    "umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1";
constexpr std::string_view kAllMacs =
    "hmac-sha1,hmac-sha1-96,hmac-sha2-256,hmac-sha2-512,hmac-md5,hmac-md5-96,umac-64@openssh.com,"
    "umac-128@openssh.com,hmac-sha1-etm@openssh.com,hmac-sha1-96-etm@openssh.com,"
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-md5-etm@openssh.com,"
    "hmac-md5-96-etm@openssh.com,umac-64-etm@openssh.com,umac-128-etm@openssh.com";
constexpr std::string_view kDefaultKex =
    "sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256,"
    "curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,"
    "diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,"
    "diffie-hellman-group18-sha512,diffie-hellman-group14-sha256";
constexpr std::string_view kAllKex =
    "diffie-hellman-group1-sha1,diffie-hellman-group14-sha1,diffie-hellman-group14-sha256,"
    "diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,"
    "diffie-hellman-group-exchange-sha1,diffie-hellman-group-exchange-sha256,ecdh-sha2-nistp256,"
    "ecdh-sha2-nistp384,ecdh-sha2-nistp521,curve25519-sha256,curve25519-sha256@libssh.org,"
    "sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com";
constexpr std::string_view kDefaultKeys =
    "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,"
    "ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,"
    "sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,"
    "rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-ed25519,"
    "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ssh-ed25519@openssh.com,"
    "sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256";
constexpr std::string_view kAllKeys =
    "ssh-ed25519,ssh-ed25519-cert-v01@openssh.com,sk-ssh-ed25519@openssh.com,"
    "sk-ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256,"
    "ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384,"
    "ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521,"
    "ecdsa-sha2-nistp521-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,"
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,webauthn-sk-ecdsa-sha2-nistp256@openssh.com,"
    "ssh-dss,ssh-dss-cert-v01@openssh.com,ssh-rsa,ssh-rsa-cert-v01@openssh.com,rsa-sha2-256,"
    "rsa-sha2-256-cert-v01@openssh.com,rsa-sha2-512,rsa-sha2-512-cert-v01@openssh.com";
constexpr std::string_view kDefaultCaKeys =
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
    "sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256";
constexpr std::string_view kAllCaKeys =
    "ssh-ed25519,sk-ssh-ed25519@openssh.com,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,"
    "ecdsa-sha2-nistp521,sk-ecdsa-sha2-nistp256@openssh.com,"
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com,ssh-dss,ssh-rsa,rsa-sha2-256,rsa-sha2-512";
constexpr std::string_view kGssKex =
    "gss-group14-sha256-,gss-group16-sha512-,gss-nistp256-sha256-,gss-curve25519-sha256-,"
    "gss-group14-sha1-,gss-gex-sha1-";
// Short names that sshd takes for the type of a key.
constexpr std::string_view kShortNames[] = {"ED25519",  "ED25519-SK", "ECDSA",
                                            "ECDSA-SK", "DSA",        "RSA"};

bool Has(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool KeyNameIsKnown(const std::vector<std::string>& all, const std::string& name) {
  if (Has(all, name)) return true;
  if (std::any_of(std::begin(kShortNames), std::end(kShortNames),
                  [&](std::string_view known) { return EqualNoCase(known, name); }))
    return true;
  return std::any_of(all.begin(), all.end(),
                     [&](const std::string& known) { return MatchPatternList(known, name) != 0; });
}

std::string Join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

constexpr std::pair<std::string_view, std::string_view> kDefaults[] = {
    {"addressfamily", "any"},
    {"allowagentforwarding", "yes"},
    {"allowstreamlocalforwarding", "yes"},
    {"allowtcpforwarding", "yes"},
    {"authenticationmethods", "any"},
    {"authorizedkeyscommand", "none"},
    {"authorizedkeyscommanduser", "none"},
    {"authorizedprincipalscommand", "none"},
    {"authorizedprincipalscommanduser", "none"},
    {"authorizedprincipalsfile", "none"},
    {"banner", "none"},
    {"chrootdirectory", "none"},
    {"clientalivecountmax", "3"},
    {"clientaliveinterval", "0"},
    {"compression", "yes"},
    {"disableforwarding", "no"},
    {"exposeauthinfo", "no"},
    {"fingerprinthash", "SHA256"},
    {"forcecommand", "none"},
    {"gatewayports", "no"},
    {"gssapiauthentication", "no"},
    {"gssapicleanupcredentials", "yes"},
    {"gssapikexalgorithms", kGssKex},
    {"gssapikeyexchange", "no"},
    {"gssapistorecredentialsonrekey", "no"},
    {"gssapistrictacceptorcheck", "yes"},
    {"hostbasedauthentication", "no"},
    {"hostbasedusesnamefrompacketonly", "no"},
    {"hostkeyagent", "none"},
    {"ignorerhosts", "yes"},
    {"ignoreuserknownhosts", "no"},
    {"ipqos", "lowdelay throughput"},
    {"kbdinteractiveauthentication", "yes"},
    {"kerberosauthentication", "no"},
    {"kerberosorlocalpasswd", "yes"},
    {"kerberosticketcleanup", "yes"},
    {"logingracetime", "120"},
    {"loglevel", "INFO"},
    {"maxauthtries", "6"},
    {"maxsessions", "10"},
    {"maxstartups", "10:30:100"},
    {"modulifile", "/etc/ssh/moduli"},
    {"passwordauthentication", "yes"},
    {"permitemptypasswords", "no"},
    {"permitlisten", "any"},
    {"permitopen", "any"},
    {"permitrootlogin", "without-password"},
    {"permittty", "yes"},
    {"permittunnel", "no"},
    {"permituserenvironment", "no"},
    {"permituserrc", "yes"},
    {"persourcemaxstartups", "none"},
    {"persourcenetblocksize", "32:128"},
    {"pidfile", "/run/sshd.pid"},
    {"printlastlog", "yes"},
    {"printmotd", "yes"},
    {"pubkeyauthentication", "yes"},
    {"pubkeyauthoptions", "none"},
    {"requiredrsasize", "1024"},
    {"revokedkeys", "none"},
    {"securitykeyprovider", "internal"},
    {"streamlocalbindmask", "0177"},
    {"streamlocalbindunlink", "no"},
    {"strictmodes", "yes"},
    {"syslogfacility", "AUTH"},
    {"tcpkeepalive", "yes"},
    {"trustedusercakeys", "none"},
    {"unusedconnectiontimeout", "none"},
    {"usedns", "no"},
    {"usepam", "no"},
    {"versionaddendum", "none"},
    {"x11displayoffset", "10"},
    {"x11forwarding", "no"},
    {"x11uselocalhost", "yes"},
    {"xauthlocation", "/usr/bin/xauth"},
};

void FillRekey(Settings& settings) {
  const auto bytes = settings.find("rekeylimit.bytes"),
             seconds = settings.find("rekeylimit.seconds");
  const SettingValue zero{"0", {}};
  const SettingValue& first = bytes == settings.end() ? zero : bytes->second.front();
  const SettingValue& second = seconds == settings.end() ? zero : seconds->second.front();
  settings["rekeylimit"] = {
      {first.text + " " + second.text, first.origin.IsDefault() ? second.origin : first.origin}};
}

}  // namespace

std::string_view DefaultAlgorithms(std::string_view canonical) {
  if (canonical == "ciphers") return kDefaultCiphers;
  if (canonical == "macs") return kDefaultMacs;
  if (canonical == "kexalgorithms") return kDefaultKex;
  if (canonical == "casignaturealgorithms") return kDefaultCaKeys;
  return kDefaultKeys;
}

std::string_view AllAlgorithms(std::string_view canonical) {
  if (canonical == "ciphers") return kAllCiphers;
  if (canonical == "macs") return kAllMacs;
  if (canonical == "kexalgorithms") return kAllKex;
  if (canonical == "casignaturealgorithms") return kAllCaKeys;
  return kAllKeys;
}

bool AlgorithmsAreKnown(std::string_view canonical, std::string_view list) {
  if (list.empty()) return false;
  const bool keys = canonical != "ciphers" && canonical != "macs" && canonical != "kexalgorithms" &&
                    canonical != "gssapikexalgorithms";
  const auto all = SplitBy(
      canonical == "gssapikexalgorithms"
          ? std::string_view("gss-gex-sha1-,gss-group1-sha1-,gss-group14-sha1-,gss-group14-sha256-,"
                             "gss-group16-sha512-,gss-nistp256-sha256-,gss-curve25519-sha256-")
      : keys ? kAllKeys
             : AllAlgorithms(canonical),
      ',');
  for (const std::string& name : SplitBy(list, ',')) {
    if (name.empty()) return true;  // sshd looks no further
    if (keys ? !KeyNameIsKnown(all, name) : !Has(all, name)) return false;
  }
  return true;
}

std::string AssembleAlgorithms(std::string_view canonical, std::string_view list,
                               bool keep_unknown) {
  const std::string_view defaults = DefaultAlgorithms(canonical);
  if (list.empty()) return std::string(defaults);
  const auto all = SplitBy(AllAlgorithms(canonical), ',');
  std::vector<std::string> result;
  if (list[0] == '-') {
    for (const std::string& name : SplitBy(defaults, ','))
      if (MatchPatternList(name, list.substr(1)) != 1) result.push_back(name);
    return result.empty() ? std::string(defaults) : Join(result);
  }
  std::string names(list[0] == '+' || list[0] == '^' ? list.substr(1) : list);
  if (list[0] == '+') names = std::string(defaults) + (names.empty() ? "" : "," + names);
  if (list[0] == '^') names += (names.empty() ? "" : ",") + std::string(defaults);
  for (const std::string& pattern : SplitBy(names, ',')) {
    if (!pattern.empty() && pattern[0] == '!') return "";
    const std::size_t before = result.size();
    bool known = false;
    for (const std::string& name : all) {
      if (MatchPatternList(name, pattern) != 1) continue;
      known = true;
      if (!Has(result, name)) result.push_back(name);
    }
    if (!known && keep_unknown && !pattern.empty() && result.size() == before)
      result.push_back(pattern);
  }
  return Join(result);
}

void FillDefaults(Settings& settings) {
  for (const auto& [keyword, value] : kDefaults) {
    if (settings.find(keyword) == settings.end())
      settings[std::string(keyword)] = {{std::string(value), {}}};
  }
  for (const std::string_view list :
       {"ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "hostbasedacceptedalgorithms",
        "pubkeyacceptedalgorithms", "casignaturealgorithms"}) {
    if (settings.find(list) == settings.end())
      settings[std::string(list)] = {{std::string(DefaultAlgorithms(list)), {}}};
  }
  if (settings.find("hostkey") == settings.end()) {
    settings["hostkey"] = {{"/etc/ssh/ssh_host_rsa_key", {}},
                           {"/etc/ssh/ssh_host_ecdsa_key", {}},
                           {"/etc/ssh/ssh_host_ed25519_key", {}}};
  }
  if (settings.find("authorizedkeysfile") == settings.end())
    settings["authorizedkeysfile"] = {{".ssh/authorized_keys", {}}, {".ssh/authorized_keys2", {}}};
  FillRekey(settings);
  // A rate that no line gave is 30 %.
  SettingValue& startups = settings["maxstartups"].front();
  if (const std::size_t gap = startups.text.find(":-1:"); gap != std::string::npos)
    startups.text.replace(gap, 4, ":30:");
}

}  // namespace culprit
