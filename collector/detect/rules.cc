// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/rules.h"

#include <algorithm>

namespace culprit {
namespace {

constexpr Rule kRules[] = {
    {"scan",
     1,
     "scanning other hosts",
     {"T1046", "T1595.001"},
     "Each address and port that a program tries for the first time counts for a scan if it is "
     "refused or not answered, "
     "and against it if it is answered; nine more failures than successes are a finding. Also: "
     "datagrams or pings to many "
     "targets of which hardly any answers, and SYNs made past the system's own TCP to many "
     "targets.",
     "Peer-to-peer programs, service discovery, a backend of many addresses that is down.",
     "Jung, Paxson, Berger, Balakrishnan: Fast Portscan Detection Using Sequential Hypothesis "
     "Testing (2004)."},
    {"flood",
     2,
     "flooding a target",
     {"T1498.001"},
     "Thousands of packets a second with next to nothing coming back, or more than a hundred "
     "attempts a second to connect to "
     "a few targets that do not answer, for three seconds in a row; for two, or one, where it is "
     "many more.",
     "Load tests, telemetry and media that are sent one way by UDP at a high rate.",
     "CESNET NEMEA HostStats; sizes of the AWS GuardDuty tester."},
    {"brute-force",
     1,
     "guessing passwords",
     {"T1110.001", "T1110.003"},
     "Connections to a service with logins (SSH, RDP, FTP, databases, mail) that are answered, "
     "short and small: several to one "
     "server within a minute, or to several servers.",
     "Configuration management with very short runs, health checks of databases, a client that "
     "reconnects in a loop.",
     "Shapes of CESNET NEMEA and Zeek detect-bruteforcing."},
    {"ssh-relay",
     2,
     "a login used as a relay",
     {"T1090.002", "T1572"},
     "The sshd process of a login makes connections by itself. Programs that a user runs are "
     "processes of their own: "
     "sshd connects only where the client at the other end asked it to (ssh -D, -L, -J), and takes "
     "connections only at ports where that client asked for them (ssh -R).",
     "An administrator's own jump host or port forwarding.",
     "OpenSSH: direct-tcpip channels are opened by the session's own process (serverloop.c)."},
    {"relay",
     2,
     "a relay for somebody else",
     {"T1090.002", "T1496.002"},
     "A client asks for destinations by SOCKS or CONNECT and the program connects there; or many "
     "public destinations carry, "
     "byte for byte and both ways, what public clients send and receive.",
     "A proxy that is meant to be public. A reverse proxy has destinations of its own choice and "
     "is "
     "not one: nginx, haproxy, envoy, traefik, caddy, varnishd and apache2 of the system, under no "
     "login, are not judged by their bytes, only by what clients ask of them.",
     "Zhang and Paxson: Detecting Stepping Stones (2000); conservation of bytes."},
    {"egress",
     1,
     "much data to new places",
     {"T1041", "T1048", "T1567"},
     "Half a gigabyte within an hour, or five megabytes a second for a minute, to public "
     "addresses that the host (while it is young: hosts of its image) had not "
     "talked to before, with little coming back. Goes on for as long as something is sent there.",
     "A first full backup, publishing of large files, a new log collector.",
     "Slips exfiltration thresholds, made relative to what the host did before."},
    {"mining",
     1,
     "mining cryptocurrency",
     {"T1496.001"},
     "A connection that speaks Stratum (its JSON of subscribing, logging in or handing in work), "
     "goes to a pool by its name, or is on a pool's port with the long, sparse, regular rhythm of "
     "a miner. The pool's name and its port weigh beside.",
     "A crypto node that its owner runs.",
     "CESNET NEMEA miner detector; Vesely and Zadnik: How to Detect Cryptocurrency Miners? "
     "(2019)."},
    {"beacon",
     1,
     "regular calls home",
     {"T1071.001", "T1571"},
     "At least twenty connections to one public address whose intervals and sizes hardly vary.",
     "Agents of monitoring and updates. Low by itself: look at the program.",
     "RITA v5 beacon score (interval and size part)."},
    {"dns-tunnel",
     1,
     "data in DNS names",
     {"T1071.004", "T1048.003"},
     "A hundred different names below one domain within ten minutes, or fifty long ones within a "
     "minute.",
     "Block lists and reputation services that are asked by DNS, some content networks.",
     "Slips and RITA C2-over-DNS; measured shapes of iodine and dnscat2."},
    {"spam",
     1,
     "mail to many servers",
     {"T1496"},
     "Connections to port 25 of ten public servers within ten minutes.",
     "A mail server.",
     "AWS GuardDuty Backdoor:EC2/Spambot."},
    {"reflector",
     2,
     "a service misused for amplification",
     {"T1498.002"},
     "A UDP service of this host, of those that are known to be misused, gives large answers to "
     "small questions, a thousand and more within five minutes.",
     "A busy public DNS server. An innocent cause of a report about denial of service, and still "
     "to be stopped.",
     "CESNET NEMEA amplification detector; ports of CISA TA14-017A and Rossow: Amplification Hell "
     "(2014)."},
    {"budget",
     1,
     "data transfer over the budget",
     {"T1496.002"},
     "What a host sent and received within an hour costs more, by the operator's price table, than "
     "[detect.budget] allows. Names the group of processes that spends most.",
     "A budget that is too small for what the host is there for: set it by your bill.",
     "AWS data transfer prices (deploy/prices.toml); ways as of `culprit cost`."},
    {"re-enrolment",
     1,
     "a host that enrols again",
     {"T1078"},
     "Somebody asks to become the agent of a host that has enrolled already, with another key. "
     "Refused unless an operator has allowed it; `culprit audit --action enrol` has each attempt.",
     "A host that was reinstalled, or a clone that kept its machine id.",
     "SPIRE's trust on first use of instance identity documents."},
};

}  // namespace

std::span<const Rule> AllRules() { return kRules; }

const Rule& RuleOf(std::string_view name) {
  static const Rule none;
  const auto rules = AllRules();
  const auto it = std::find_if(rules.begin(), rules.end(),
                               [name](const Rule& rule) { return name == rule.name; });
  return it == rules.end() ? none : *it;
}

}  // namespace culprit
