// SPDX-License-Identifier: Apache-2.0
#include "agent/posture/sshd_keywords.h"

#include <algorithm>
#include <unordered_map>

#include "agent/posture/sshd_lexer.h"
#include "common/ascii.h"

namespace culprit {
namespace {

using F = ValueForm;

constexpr Keyword kKeywords[] = {
    {"acceptenv", "acceptenv", F::kAcceptEnv, true, true},
    {"addressfamily", "addressfamily", F::kChoice, false, false},
    {"allowagentforwarding", "allowagentforwarding", F::kFlag, true, true},
    {"allowgroups", "allowgroups", F::kGroups, true, true},
    {"allowstreamlocalforwarding", "allowstreamlocalforwarding", F::kChoice, true, true},
    {"allowtcpforwarding", "allowtcpforwarding", F::kChoice, true, true},
    {"allowusers", "allowusers", F::kUsers, true, true},
    {"authenticationmethods", "authenticationmethods", F::kMethods, true, true},
    {"authorizedkeyscommand", "authorizedkeyscommand", F::kCommand, true, true},
    {"authorizedkeyscommanduser", "authorizedkeyscommanduser", F::kWord, true, true},
    {"authorizedkeysfile", "authorizedkeysfile", F::kKeyFiles, true, true},
    {"authorizedprincipalscommand", "authorizedprincipalscommand", F::kCommand, true, true},
    {"authorizedprincipalscommanduser", "authorizedprincipalscommanduser", F::kWord, true, true},
    {"authorizedprincipalsfile", "authorizedprincipalsfile", F::kTildePath, true, true},
    {"banner", "banner", F::kPath, true, true},
    {"casignaturealgorithms", "casignaturealgorithms", F::kKeyAlgorithms, true, true},
    {"channeltimeout", "channeltimeout", F::kChannelTimeout, true, true},
    {"chrootdirectory", "chrootdirectory", F::kWord, true, true},
    {"ciphers", "ciphers", F::kAlgorithms, false, false},
    {"clientalivecountmax", "clientalivecountmax", F::kInt, true, true},
    {"clientaliveinterval", "clientaliveinterval", F::kTime, true, true},
    {"compression", "compression", F::kChoice, false, false},
    {"debianbanner", "debianbanner", F::kFlag, false, false},
    {"denygroups", "denygroups", F::kGroups, true, true},
    {"denyusers", "denyusers", F::kUsers, true, true},
    {"disableforwarding", "disableforwarding", F::kFlag, true, true},
    {"exposeauthinfo", "exposeauthinfo", F::kFlag, true, true},
    {"fingerprinthash", "fingerprinthash", F::kDigest, false, false},
    {"forcecommand", "forcecommand", F::kRest, true, true},
    {"gatewayports", "gatewayports", F::kChoice, true, true},
    {"gssapiauthentication", "gssapiauthentication", F::kFlag, true, true},
    {"gssapicleanupcredentials", "gssapicleanupcredentials", F::kFlag, false, false},
    {"gssapikexalgorithms", "gssapikexalgorithms", F::kGssAlgorithms, false, false},
    {"gssapikeyexchange", "gssapikeyexchange", F::kFlag, false, false},
    {"gssapistorecredentialsonrekey", "gssapistorecredentialsonrekey", F::kFlag, false, false},
    {"gssapistrictacceptorcheck", "gssapistrictacceptorcheck", F::kFlag, false, false},
    {"hostbasedacceptedalgorithms", "hostbasedacceptedalgorithms", F::kKeyAlgorithms, true, true},
    {"hostbasedacceptedkeytypes", "hostbasedacceptedalgorithms", F::kKeyAlgorithms, true, true},
    {"hostbasedauthentication", "hostbasedauthentication", F::kFlag, true, true},
    {"hostbasedusesnamefrompacketonly", "hostbasedusesnamefrompacketonly", F::kFlag, true, true},
    {"hostcertificate", "hostcertificate", F::kHostCertificate, false, false},
    {"hostdsakey", "hostkey", F::kHostKey, false, false},
    {"hostkey", "hostkey", F::kHostKey, false, false},
    {"hostkeyagent", "hostkeyagent", F::kSocket, false, false},
    {"hostkeyalgorithms", "hostkeyalgorithms", F::kKeyAlgorithms, false, false},
    {"ignorerhosts", "ignorerhosts", F::kChoice, true, true},
    {"ignoreuserknownhosts", "ignoreuserknownhosts", F::kFlag, false, false},
    {"include", "include", F::kInclude, true, false},
    {"ipqos", "ipqos", F::kQos, true, true},
    {"kbdinteractiveauthentication", "kbdinteractiveauthentication", F::kFlag, true, true},
    {"challengeresponseauthentication", "kbdinteractiveauthentication", F::kFlag, true, true},
    {"skeyauthentication", "kbdinteractiveauthentication", F::kFlag, true, true},
    {"kerberosauthentication", "kerberosauthentication", F::kFlag, true, true},
    {"kerberosorlocalpasswd", "kerberosorlocalpasswd", F::kFlag, false, false},
    {"kerberosticketcleanup", "kerberosticketcleanup", F::kFlag, false, false},
    {"kerberosgetafstoken", "", F::kIgnored, false, false},
    {"kerberostgtpassing", "", F::kIgnored, false, false},
    {"afstokenpassing", "", F::kIgnored, false, false},
    {"kexalgorithms", "kexalgorithms", F::kAlgorithms, false, false},
    {"listenaddress", "listenaddress", F::kListen, false, false},
    {"logingracetime", "logingracetime", F::kTime, false, false},
    {"loglevel", "loglevel", F::kLogLevel, true, true},
    {"logverbose", "logverbose", F::kLogVerbose, true, true},
    {"macs", "macs", F::kAlgorithms, false, false},
    {"match", "match", F::kMatch, true, false},
    {"maxauthtries", "maxauthtries", F::kInt, true, true},
    {"maxsessions", "maxsessions", F::kInt, true, true},
    {"maxstartups", "maxstartups", F::kMaxStartups, false, false},
    {"modulifile", "modulifile", F::kPath, false, false},
    {"passwordauthentication", "passwordauthentication", F::kFlag, true, true},
    {"permitemptypasswords", "permitemptypasswords", F::kFlag, true, true},
    {"permitlisten", "permitlisten", F::kForwards, true, true},
    {"permitopen", "permitopen", F::kForwards, true, true},
    {"permitrootlogin", "permitrootlogin", F::kChoice, true, true},
    {"permittty", "permittty", F::kFlag, true, true},
    {"permittunnel", "permittunnel", F::kTunnel, true, true},
    {"permituserenvironment", "permituserenvironment", F::kUserEnvironment, false, false},
    {"permituserrc", "permituserrc", F::kFlag, true, true},
    {"persourcemaxstartups", "persourcemaxstartups", F::kPerSource, false, false},
    {"persourcenetblocksize", "persourcenetblocksize", F::kNetBlock, false, false},
    {"pidfile", "pidfile", F::kPath, false, false},
    {"port", "port", F::kPort, false, false},
    {"printlastlog", "printlastlog", F::kFlag, false, false},
    {"printmotd", "printmotd", F::kFlag, false, false},
    {"protocol", "", F::kIgnored, false, false},
    {"pubkeyacceptedalgorithms", "pubkeyacceptedalgorithms", F::kKeyAlgorithms, true, true},
    {"pubkeyacceptedkeytypes", "pubkeyacceptedalgorithms", F::kKeyAlgorithms, true, true},
    {"pubkeyauthentication", "pubkeyauthentication", F::kFlag, true, true},
    {"dsaauthentication", "pubkeyauthentication", F::kFlag, false, true},
    {"pubkeyauthoptions", "pubkeyauthoptions", F::kKeyOptions, true, true},
    {"rdomain", "rdomain", F::kRdomain, true, true},
    {"rekeylimit", "rekeylimit", F::kRekey, true, true},
    {"requiredrsasize", "requiredrsasize", F::kInt, true, true},
    {"revokedkeys", "revokedkeys", F::kPath, true, true},
    {"securitykeyprovider", "securitykeyprovider", F::kProvider, false, false},
    {"setenv", "setenv", F::kSetEnv, true, true},
    {"streamlocalbindmask", "streamlocalbindmask", F::kMask, true, true},
    {"streamlocalbindunlink", "streamlocalbindunlink", F::kFlag, true, true},
    {"strictmodes", "strictmodes", F::kFlag, false, false},
    {"subsystem", "subsystem", F::kSubsystem, false, false},
    {"syslogfacility", "syslogfacility", F::kFacility, false, false},
    {"tcpkeepalive", "tcpkeepalive", F::kFlag, false, false},
    {"keepalive", "tcpkeepalive", F::kFlag, false, false},
    {"trustedusercakeys", "trustedusercakeys", F::kPath, true, true},
    {"unusedconnectiontimeout", "unusedconnectiontimeout", F::kUnusedTimeout, true, true},
    {"usedns", "usedns", F::kFlag, false, false},
    {"usepam", "usepam", F::kFlag, false, false},
    {"versionaddendum", "versionaddendum", F::kVersionText, false, false},
    {"x11displayoffset", "x11displayoffset", F::kInt, true, true},
    {"x11forwarding", "x11forwarding", F::kFlag, true, true},
    {"x11uselocalhost", "x11uselocalhost", F::kFlag, true, true},
    {"xauthlocation", "xauthlocation", F::kPath, false, false},
    // Obsolete, and without effect.
    {"authorizedkeysfile2", "", F::kIgnored, true, false},
    {"checkmail", "", F::kIgnored, false, false},
    {"keyregenerationinterval", "", F::kIgnored, false, false},
    {"reversemappingcheck", "", F::kIgnored, false, false},
    {"rhostsauthentication", "", F::kIgnored, false, false},
    {"rhostsrsaauthentication", "", F::kIgnored, true, false},
    {"rsaauthentication", "", F::kIgnored, true, false},
    {"serverkeybits", "", F::kIgnored, false, false},
    {"uselogin", "", F::kIgnored, false, false},
    {"useprivilegeseparation", "", F::kIgnored, false, false},
    {"verifyreversemapping", "", F::kIgnored, false, false},
    // Of later versions.
    {"pamservicename", "pamservicename", F::kLater, true, false},
    {"persourcepenalties", "persourcepenalties", F::kLater, false, false},
    {"persourcepenaltyexemptlist", "persourcepenaltyexemptlist", F::kLater, false, false},
    {"refuseconnection", "refuseconnection", F::kLater, true, false},
    {"sshdauthpath", "sshdauthpath", F::kLater, false, false},
    {"sshdsessionpath", "sshdsessionpath", F::kLater, false, false},
};

}  // namespace

bool LastValueWins(std::string_view canonical) {
  return canonical == "maxstartups" || canonical == "persourcemaxstartups" ||
         canonical == "persourcenetblocksize" || canonical == "ipqos" ||
         canonical == "fingerprinthash" || canonical == "streamlocalbindmask";
}

const Keyword* FindKeyword(std::string_view name) {
  static const auto* const kByName = [] {
    auto* map = new std::unordered_map<std::string_view, const Keyword*>;
    for (const Keyword& keyword : kKeywords) map->emplace(keyword.name, &keyword);
    return map;
  }();
  const auto it = kByName->find(AsciiLower(name));
  return it == kByName->end() ? nullptr : it->second;
}

std::vector<std::pair<std::string_view, std::string_view>> ChoicesOf(std::string_view canonical) {
  if (canonical == "addressfamily") return {{"inet", "inet"}, {"inet6", "inet6"}, {"any", "any"}};
  if (canonical == "compression") return {{"yes", "yes"}, {"delayed", "yes"}, {"no", "no"}};
  if (canonical == "gatewayports")
    return {{"clientspecified", "clientspecified"}, {"yes", "yes"}, {"no", "no"}};
  if (canonical == "ignorerhosts")
    return {{"yes", "yes"}, {"no", "no"}, {"shosts-only", "shosts-only"}};
  if (canonical == "permitrootlogin") {
    return {{"without-password", "without-password"},
            {"prohibit-password", "without-password"},
            {"forced-commands-only", "forced-commands-only"},
            {"yes", "yes"},
            {"no", "no"}};
  }
  if (canonical == "allowtcpforwarding" || canonical == "allowstreamlocalforwarding") {
    return {{"yes", "yes"}, {"all", "yes"}, {"no", "no"}, {"remote", "remote"}, {"local", "local"}};
  }
  return {{"yes", "yes"}, {"no", "no"}};
}

}  // namespace culprit
