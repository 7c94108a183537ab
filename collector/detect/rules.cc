// SPDX-License-Identifier: Apache-2.0
#include "collector/detect/rules.h"

#include <algorithm>

namespace culprit {
namespace {

constexpr Rule kRules[] = {
    {"scan",
     3,
     "scanning other hosts",
     {"T1046", "T1595.001"},
     "Each address and port that a program tries for the first time counts for a scan if it is "
     "refused or not answered, "
     "and against it if it is answered; nine more failures than successes are a finding. Several "
     "addresses of one name count once. Also: "
     "datagrams or pings to many "
     "targets of which hardly any answers (the ports of a traceroute to one address are one), and "
     "SYNs made past the system's own TCP to many targets.",
     "Peer-to-peer programs, service discovery, a backend of many addresses that is down.",
     "Jung, Paxson, Berger, Balakrishnan: Fast Portscan Detection Using Sequential Hypothesis "
     "Testing (2004)."},
    {"flood",
     4,
     "flooding a target",
     {"T1498.001"},
     "Thousands of packets a second with next to nothing coming back, or more than a hundred "
     "attempts a second to connect to "
     "a few targets that do not answer, for three seconds in a row; for two, or one, where it is "
     "many more. What clients asked for, or acknowledge, is none. To private addresses alone, "
     "through sockets of the system, it is of medium severity.",
     "Load tests, telemetry and media that are sent one way by UDP at a high rate.",
     "CESNET NEMEA HostStats; sizes of the AWS GuardDuty tester."},
    {"brute-force",
     2,
     "guessing passwords",
     {"T1110.001", "T1110.003"},
     "Connections to a service with logins (SSH, RDP, FTP, databases, mail) that are answered, "
     "short and small: several to one "
     "server within a minute, or to several servers. Databases, directories and mail servers are "
     "asked by programs all day: there it counts only for what somebody runs by a login, by cron "
     "or "
     "from a web server, or what hides; for a service of the host, only at "
     "eight public servers; and medium is the most that it begins with.",
     "Configuration management with very short runs, a script that opens a connection for each "
     "question, a client that reconnects in a loop.",
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
     2,
     "data in DNS names",
     {"T1071.004", "T1048.003"},
     "Forty names with encoded data within ten minutes, fifty long ones within a minute, or "
     "fifteen "
     "of one domain that are asked for free text. A hundred different names below one domain are "
     "of medium severity, or low where they are short. Names that begin with an address, as for "
     "block lists, and those below .internal are left out.",
     "Reputation services that are asked by DNS, some content networks, whoever visits many hosts "
     "of one provider.",
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
    // About the evidence itself.
    {"agent-silent",
     1,
     "an agent fell silent",
     {"T1562.001", "T1562.006"},
     "Nothing came from an agent for half a minute (low) or a minute and a half (high), and it had "
     "not said "
     "that it would stop: killed, stopped, cut off by a filter, or its host is gone. What it did "
     "last is "
     "shown. A stop that is declared, as in a scale-in, is no silence.",
     "A network that is down, a host that was switched off hard, a spot instance that was taken "
     "back.",
     "MITRE ATT&CK DS0013 (sensor health); silence as a signal."},
    {"agent-stopped",
     1,
     "an agent was stopped",
     {"T1562.001", "T1489"},
     "The agent was told to stop and said so. Low at first; medium where it was not started again "
     "within a minute and a half while its host goes on.",
     "Upgrades, maintenance, the end of an instance where the host did not say so.",
     "systemctl stop is the simplest way to blind a host."},
    {"agent-killed",
     1,
     "an agent was killed",
     {"T1562.001"},
     "A run of the agent ended without a word and another one began: in the same boot it was "
     "killed or "
     "it crashed (high), else its host was reset (medium). What began and ended in between is not "
     "known.",
     "Out of memory, a crash of the agent, a power cut.",
     "The run's id, and the mark that each run leaves."},
    {"agent-paused",
     1,
     "an agent stood still",
     {"T1562.001", "T1562.006"},
     "Two heartbeats of one run are too far apart by the clock that does not count sleep, and "
     "nothing "
     "was lost in between: its sensor was stopped and goes on.",
     "A host that is starved of CPU or memory, a debugger, a frozen control group.",
     "Heartbeats are made by the sensor alone."},
    {"agent-changed",
     1,
     "an agent's program or configuration changed",
     {"T1562.001", "T1554"},
     "The hash of the program file (high; low where a new version says so) or of the configuration "
     "file "
     "(medium) is another one than at the heartbeat before.",
     "Upgrades, and whoever edits the configuration on purpose.",
     "SHA-256 of both files with each heartbeat, also while the agent runs."},
    {"hooks-detached",
     2,
     "an agent was blinded",
     {"T1562.006", "T1562.001"},
     "A link by which a kernel program of the agent is attached is gone or holds another program, "
     "or a run has hooks fewer than before, or the agent does not see connections of its own any "
     "more (its canary).",
     "Another kernel, or hooks that were switched off in the configuration.",
     "bpftool link detach; programs that are in place and see nothing. The agent asks the kernel "
     "about each of its links at every heartbeat, and connects to itself now and then."},
    {"evidence-gap",
     1,
     "evidence is missing",
     {"T1070", "T1562.006"},
     "Numbers of frames are left out, and the agent, which declares what it had to drop, does not "
     "say "
     "that it lost them.",
     "None is known.",
     "Frames are numbered and chained by their hashes."},
    {"evidence-shed",
     1,
     "detail of processes was lost in a storm of them",
     {"T1562.006", "T1499.003"},
     "Within a minute the agent had to sum up many records of processes by user, because one user "
     "starts more processes than his share of its tables holds. Bytes stay exact; names of what "
     "else runs as that user may be missing, and rules that need them do not fire.",
     "A build, a test or a service that starts hundreds of processes a second for minutes.",
     "The agent counts what it sums up and declares it, by cause; no user takes another's share."},
    {"evidence-fork",
     1,
     "two histories under one identity",
     {"T1552.004", "T1565.002"},
     "A stream that another had replaced speaks again, a frame does not follow from the one before "
     "it, or "
     "other bytes came under a number that was taken: a copied key, or a copied spool.",
     "An image with the agent's key in it, of which several instances run; a state directory that "
     "was "
     "changed and changed back.",
     "The chain of hashes; one live stream an agent."},
    {"evidence-rollback",
     1,
     "a spool went back in time",
     {"T1070"},
     "The agent has less in its spool than it had sent: after a reset of its host the last second "
     "may be "
     "lost (low), without one an older copy was put back (high).",
     "A virtual machine that was set back to a snapshot.",
     "The collector remembers the newest frame of each stream."},
    {"spool-lost",
     1,
     "a spool was removed",
     {"T1070.004"},
     "The agent began a new spool though it had one (what had not been sent is gone), or finds "
     "files of "
     "its spool removed under it (it goes on in the same stream, and declares what is gone).",
     "A new installation with the old key, a state directory that was moved.",
     "The stream's id is made with the spool."},
    {"clock-jump",
     1,
     "a host's clock was set",
     {"T1070.006"},
     "Between two heartbeats the wall clock moved by another span than the clock since boot: away "
     "from "
     "the collector's clock (high) or towards it (low).",
     "The first synchronisation after a boot, a virtual machine that was paused.",
     "Each frame has both clocks, and evidence is timed by the clock since boot."},
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
