#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Detection, live: real tools between namespaces, each run in a login of its own, with varied rates; and what looks alike and is honest.

  sudo tests/bench/detection_live.py [--runs N] [--only NAME,...] [--json FILE]

For each class: how many runs were flagged by its rule (with the Wilson interval of 95 %), seconds from the start of the tool to the record that
tripped the rule (median, 95th percentile), and whether the finding names the right program. For each honest class: findings in its runs.
Every load is bounded in count or time. Where a tool is not installed its class is left out, and said so."""
import argparse
import contextlib
import datetime
import json
import math
import os
import pathlib
import random
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import Rig, check, note, wait_until  # noqa: E402
from sshd_host import PORT, SshHost  # noqa: E402

WEB = 9200
FAR = [f"203.0.113.{n}" for n in range(1, 61)]
SERVERS = """
import http.server, socket, socketserver, sys, threading
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"w" * int(self.path.rsplit("/", 1)[1] or 1)
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *_): pass
class Web(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True; request_queue_size = 256
def drain(conn):
    with conn:
        while conn.recv(1 << 20): pass
def sink(port):
    listener = socket.create_server(("0.0.0.0", port), backlog=256)
    while True: threading.Thread(target=drain, args=(listener.accept()[0],), daemon=True).start()
for port in (9100, 25): threading.Thread(target=sink, args=(port,), daemon=True).start()
Web(("0.0.0.0", 9200), Page).serve_forever()
"""
UPLOAD = "import socket,sys\ns=socket.create_connection((sys.argv[1],9100))\nb=b'x'*1000000\nfor _ in range(int(sys.argv[2])): s.sendall(b)\n"
MAIL = ("import socket,sys,time\nfor a in sys.argv[2:]:\n s=socket.create_connection((a,25)); s.sendall(b'm'*30000); s.close(); "
        "time.sleep(float(sys.argv[1]))\n")
CALLS = ("import time,urllib.request,random,sys\nfor _ in range(26):\n urllib.request.urlopen('http://203.0.113.9:9200/300').read(); "
         "time.sleep(1.3+random.random()*float(sys.argv[1]))\n")
FETCH = ("import sys,time,urllib.request\nfor a in sys.argv[3:]:\n urllib.request.urlopen(f'http://{a}:9200/{sys.argv[1]}').read(); "
         "time.sleep(float(sys.argv[2]))\n")


class Field:
    """The two namespaces, the servers of the far one, and the host that is entered."""

    def __init__(self, rig):
        self.rig = rig
        self.outside, self.inside = rig.namespaces()
        for address in FAR:
            self.outside.run("ip", "addr", "add", f"{address}/24", "dev", self.outside.interface)
            self.inside.run("ip", "neigh", "replace", address, "lladdr", self.outside.mac, "dev", self.inside.interface, "nud", "permanent")
        self.inside.run("ip", "route", "add", "203.0.113.0/24", "dev", self.inside.interface)
        self.host = SshHost(rig, self.inside, self.outside)
        for name, text in (("upload", UPLOAD), ("mail", MAIL), ("calls", CALLS), ("fetch", FETCH)):
            (rig.dir / f"{name}.py").write_text(text)
        rig.spawn(*self.outside.command(sys.executable, "-c", SERVERS))
        wait_until("the servers", lambda: f":{WEB}" in self.outside.run("ss", "-ltn").stdout)

    def login(self, command):
        """`command` in a session of its own, which ends it."""
        return self.rig.spawn(*self.host.command("root", command, options=[*self.host.key(), "-tt"]))

    def python(self, name, *arguments):
        return self.login(" ".join(["exec python3", str(self.rig.dir / f"{name}.py"), *map(str, arguments)]))


def relay_by_socks(field):
    port = random.randint(10000, 19999)
    daemon = field.login(f"exec microsocks -i 0.0.0.0 -p {port}")
    wait_until("the proxy", lambda: f":{port}" in field.inside.run("ss", "-ltn").stdout)
    for address in random.sample(FAR, 7):
        field.outside.run("curl", "-sf", "-o", "/dev/null", "--socks5", f"{field.inside.v4}:{port}", f"http://{address}:{WEB}/400000")
    return daemon


def relay_by_ssh(field):
    port = random.randint(20000, 29999)
    client = field.host.hold("alice", "-D", port)
    wait_until("the client's port", lambda: f":{port}" in field.outside.run("ss", "-ltn").stdout)
    field.outside.run("curl", "-sf", "-o", "/dev/null", "--socks5", f"127.0.0.1:{port}", f"http://{random.choice(FAR)}:{WEB}/1000")
    return client


def guesses(field):
    words = field.rig.dir / "words"
    words.write_text("".join(f"wrong{random.random()}\n" for _ in range(100)))
    return field.login(f"timeout 55 hydra -q -I -t 4 -l bob -P {words} ssh://{field.inside.v4}:{PORT} > /dev/null 2>&1")


def hping(mode):
    return lambda f: f.login(f"timeout 8 hping3 -q {mode} -i u{random.choice((20, 40, 60))} {random.choice(FAR)} > /dev/null 2>&1")


def nmap(options):
    return lambda f: f.login(f"timeout 30 nmap -n -Pn --max-retries 0 -T{random.choice((3, 4, 5))} {options} > /dev/null")


def masscan(f):
    return f.login(f"timeout 20 masscan 203.0.113.0/26 -p 80,443,8080 --rate {random.choice((100, 500, 2000))} --wait 0 -e {f.inside.interface} "
                   f"--source-ip {f.inside.v4} --router-mac {f.outside.mac} > /dev/null 2>&1")


# name: (rule, tool, program in the finding, start, seconds)
ATTACKS = {
    "scan: nmap connect": ("scan", "nmap", "nmap", nmap("-sT -p 1-300 192.0.2.1"), 20),
    "scan: nmap SYN": ("scan", "nmap", "nmap", nmap("-sS -p 1-300 192.0.2.1"), 20),
    "scan: nmap across": ("scan", "nmap", "nmap", nmap("-sT -p 22 203.0.113.1-60"), 20),
    "scan: masscan": ("scan", "masscan", "masscan", masscan, 20),
    "flood: SYN": ("flood", "hping3", "hping3", hping("-S -p 80"), 15),
    "flood: UDP": ("flood", "hping3", "hping3", hping("--udp -p 53 -d 100"), 15),
    "flood: ICMP": ("flood", "hping3", "hping3", hping("--icmp"), 15),
    "brute force: hydra": ("brute-force", "hydra", "hydra", guesses, 60),
    "relay: ssh -D": ("ssh-relay", "ssh", "sshd", relay_by_ssh, 15),
    "relay: microsocks": ("relay", "microsocks", "microsocks", relay_by_socks, 30),
    "egress: 600 MB": ("egress", "python3", "python3", lambda f: f.python("upload", random.choice(FAR), 600), 60),
    "beacon": ("beacon", "python3", "python3", lambda f: f.python("calls", random.choice((0.02, 0.1, 0.2))), 60),
    "spam": ("spam", "python3", "python3", lambda f: f.python("mail", random.choice((0.05, 0.2)), *random.sample(FAR, 14)), 30),
}
HONEST = {
    "downloads of 5 MB": lambda f: f.python("fetch", 5_000_000, 0.3, *FAR[:6]),
    "fan-out of a browser": lambda f: f.python("fetch", 40_000, 0.02, *FAR),
    "scrape of five targets": lambda f: f.python("fetch", 3000, 0.2, *(FAR[:5] * 8)),
    "load on one server": lambda f: f.python("fetch", 200, 0, *(FAR[:1] * 400)),
    "upload of 100 MB": lambda f: f.python("upload", FAR[0], 100),
}


def wilson(hits, runs):
    if runs == 0:
        return 0.0, 1.0
    z, p = 1.96, hits / runs
    middle, spread = p + z * z / (2 * runs), z * math.sqrt(p * (1 - p) / runs + z * z / (4 * runs * runs))
    return (middle - spread) / (1 + z * z / runs), (middle + spread) / (1 + z * z / runs)


def findings(rig, rule=None):
    return rig.query("findings", *(("--rule", rule) if rule else ()), "--limit", 1000)


def seconds_of(text):
    """Of an RFC 3339 time, to the microsecond."""
    return datetime.datetime.fromisoformat(text.rstrip("Z").ljust(20, ".").ljust(26, "0")[:26]).replace(tzinfo=datetime.timezone.utc).timestamp()


def attack(rig, field, name):
    rule, _, program, start, limit = ATTACKS[name]
    before = {row["id"] for row in findings(rig)}
    fresh = lambda: [row for row in findings(rig, rule) if row["id"] not in before]
    began = time.time()
    with contextlib.ExitStack() as stack:
        stack.callback(start(field).stop, 5)
        with contextlib.suppress(Exception):
            wait_until(rule, fresh, limit)
    rows = fresh()
    if not rows:
        return {"flagged": False}
    row = rows[-1]
    right = os.path.basename(row["exe"]).startswith(program) or program in row["command_line"]
    if not right:
        note(f"{name}: {row['rule']} names {row['exe']}: {row['command_line']}")
    return {"flagged": True, "seconds": seconds_of(row["trigger_time"]) - began, "right": right}


def honest(rig, field, name):
    before = {row["id"] for row in findings(rig)}
    HONEST[name](field).process.wait(60)
    time.sleep(3)  # a finding that comes late counts
    return [row["rule"] for row in findings(rig) if row["id"] not in before]


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] if values else float("nan")


def campaign(rig, field, runs, only):
    out = {"attacks": {}, "honest": {}}
    print(f"{'CLASS':<24}{'FLAGGED':>9}{'95 % INTERVAL':>16}{'p50':>7}{'p95':>7}  RIGHT PROGRAM")
    for name, (_, tool, *_rest) in ATTACKS.items():
        if only and not any(part in name for part in only):
            continue
        if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin") is None:
            print(f"{name:<24}  left out: {tool} is not installed")
            continue
        results = [attack(rig, field, name) for _ in range(runs)]
        hits = [r for r in results if r["flagged"]]
        low, high = wilson(len(hits), runs)
        times = [r["seconds"] for r in hits]
        right = sum(r["right"] for r in hits)
        print(f"{name:<24}{len(hits):>5}/{runs:<3}{f'{low:.2f}-{high:.2f}':>16}{quantile(times, .5):>6.1f}s{quantile(times, .95):>6.1f}s"
              f"  {right}/{len(hits)}", flush=True)
        out["attacks"][name] = results
    for name in HONEST:
        if only and not any(part in name for part in only):
            continue
        found = [rule for _ in range(runs) for rule in honest(rig, field, name)]
        print(f"{name:<24}{'findings: ' + (', '.join(found) or 'none')} in {runs} runs", flush=True)
        out["honest"][name] = found
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", default="", help="classes whose names contain one of these")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--strict", action="store_true", help="fail unless every run is flagged, by the right program, and no honest one is")
    args = parser.parse_args()
    with Rig("live") as rig:
        rig.start_collector()
        field = Field(rig)
        rig.agent_extra = f'[logins]\nfiles = ["{field.host.log}"]\n'
        rig.start_agent()
        field.host.start()
        out = campaign(rig, field, args.runs, [part for part in args.only.split(",") if part])
        if args.json:
            args.json.write_text(json.dumps(out, indent=1))
        if args.strict:
            missed = [name for name, rows in out["attacks"].items() if not all(r["flagged"] and r["right"] for r in rows)]
            accused = [name for name, rules in out["honest"].items() if rules]
            check(not missed and not accused, f"missed: {missed}; accused: {accused}")
        note("PASSED")


if __name__ == "__main__":
    main()
