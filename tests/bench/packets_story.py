#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether a relay can push its own beginning out of the packet ring: packets_story.py [--seconds S] [--rate B/S] [--each BYTES] [--json FILE]

Somebody logs in by SSH, asks the DNS, tries some addresses; then a process sends in bulk, by default 7.26 MB/s for 10 minutes, in
connections of --each bytes (each has its first bytes kept whole, so that many short ones fill the ring fastest). Before and after, `culprit packets`
fetches the packets of the login, of the questions and of the first contacts: they must be all there, and the same bytes. The ring is the
default one, 256 MiB. Root.
"""
import argparse
import json
import os
import pathlib
import shutil
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "e2e"), str(HERE)]
from agent_bench import cpu_seconds, memory  # noqa: E402
from harness import Rig, check, note, run, wait_until  # noqa: E402

RING_BYTES = 256 << 20
QUESTIONS, CONTACTS = 40, 60
FAR = """
import socket, threading
def sink(conn):
    with conn:
        while conn.recv(1 << 20):
            pass
def serve(port, talk):
    listener = socket.create_server(("", port), backlog=256)
    while True:
        threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()
def echo(conn):
    with conn:
        conn.sendall(conn.recv(65536))
threading.Thread(target=serve, args=(443, sink), daemon=True).start()
threading.Thread(target=serve, args=(8443, echo), daemon=True).start()
dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
dns.bind(("198.51.100.2", 53))
print("ready", flush=True)
while True:
    question, peer = dns.recvfrom(512)
    dns.sendto(question[:2] + b"\\x81\\x83" + question[4:], peer)
"""
ASK = """
import socket, struct, sys
for n in range(int(sys.argv[1])):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect(("198.51.100.2", 53))
        name = b"".join(bytes([len(p)]) + p for p in (b"host%d" % n, b"sample", b"test")) + b"\\0"
        s.send(struct.pack("!6H", n, 0x100, 1, 0, 0, 0) + name + struct.pack("!2H", 1, 1))
        s.recv(512)
sys.stdin.read()
"""
TRY = """
import socket, sys
for n in range(int(sys.argv[1])):
    with socket.create_connection((f"203.0.113.{129 + n}", 8443), 5) as s:
        s.sendall(b"hello")
        s.recv(5)
sys.stdin.read()
"""
PUSH = """
import socket, sys, time
rate, seconds, each = (float(a) for a in sys.argv[1:4])
began, sent, data = time.monotonic(), 0, b"r" * 16384
while time.monotonic() - began < seconds:
    with socket.create_connection(("203.0.113.200", 443)) as s:
        ours = 0
        while ours < each and time.monotonic() - began < seconds:
            ahead = sent - (time.monotonic() - began) * rate
            if ahead > 0:
                time.sleep(ahead / rate)
            s.sendall(data)
            sent += len(data)
            ours += len(data)
print(sent, time.monotonic() - began, flush=True)
"""


def log_in(rig, far):
    """By key, from the far end, into an sshd of our own; returns when the command has run."""
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", rig.dir / f"{name}.key")
    config = rig.dir / "sshd_config"
    config.write_text(f"ListenAddress 198.51.100.1:22\nHostKey {rig.dir}/host.key\nAuthorizedKeysFile {rig.dir}/user.key.pub\n"
                      "StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n")
    rig.spawn(shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-e", "-f", config, log="sshd.log")
    wait_until("sshd", lambda: "198.51.100.1:22" in run("ss", "-Hltn").stdout, 10)
    said = far.run("ssh", "-n", "-i", rig.dir / "user.key", "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={rig.dir}/known",
                   "-o", "LogLevel=ERROR", "root@198.51.100.1", "echo logged in").stdout
    check("logged in" in said, f"the login: {said}")


def closed(rig, count, *arguments):
    """The flows, once so many are over and nothing of them is under way."""
    def look():
        rows = rig.flows(*arguments)
        return rows if len({r["flow_id"] for r in rows if r["state"] == "closed"}) >= count else None
    return wait_until(f"{count} flows of {arguments}", look, 40, 0.3)


def opening(rig, far):
    """Plays it; returns what to ask for, and how many packets each has."""
    log_in(rig, far)
    asker = rig.spawn(sys.executable, "-c", ASK, QUESTIONS, log="ask.log")
    tries = rig.spawn(sys.executable, "-c", TRY, CONTACTS, log="try.log")
    wanted = {}
    for name, rows in (("login", closed(rig, 1, "--local-port", 22, "--remote", "198.51.100.2")),
                       ("dns", closed(rig, QUESTIONS, "--pid", asker.pid)), ("first contacts", closed(rig, CONTACTS, "--pid", tries.pid))):
        ids = sorted({r["flow_id"] for r in rows})
        packets = sum(r["tx_packets"] + r["rx_packets"] for r in rows)
        wanted[name] = ([a for i in ids for a in ("--flow", i)], packets)
    return wanted


def fetched(rig, wanted, until, when):
    out = {}
    for name, (selection, _) in wanted.items():
        path = rig.dir / f"{name.replace(' ', '-')}-{when}.pcapng"
        answer = json.loads(rig.culprit("packets", *selection, "--to", until, "--out", path, "--json"))
        out[name] = (answer["packets"], path.read_bytes())
    return out


def ring_bytes(rig):
    """Of all files of the ring, each once however often it is linked."""
    sizes = {}
    for path in (rig.dir / "agent" / "packets").rglob("*"):
        try:
            st = path.stat()
        except OSError:
            continue
        if path.is_file():
            sizes[st.st_ino] = st.st_blocks * 512
    return sum(sizes.values())


def push(rig, arguments):
    """The bulk, and what the ring and the agent did meanwhile."""
    cpu, largest, pss = cpu_seconds(rig.agent.pid), 0, 0
    bulk = rig.spawn(sys.executable, "-c", PUSH, arguments.rate, arguments.seconds, arguments.each, log="push.log")
    while bulk.alive():
        largest = max(largest, ring_bytes(rig))
        pss = max(pss, memory(rig.agent.pid)[1])
        time.sleep(2)
    sent, seconds = (float(v) for v in bulk.log.read_text().split())
    return {"sent_bytes": int(sent), "seconds": seconds, "rate": sent / seconds, "ring_largest_bytes": largest, "pss_largest_bytes": pss,
            "cpu_percent": 100 * (cpu_seconds(rig.agent.pid) - cpu) / seconds}


def story(rig, arguments):
    here, far = rig.far_end()
    run("ip", "route", "add", "203.0.113.128/25", "via", far.v4, "dev", here)
    far.run("ip", "route", "add", "local", "203.0.113.128/25", "dev", "lo")
    rig.agent_extra += f'[packets]\nenabled = true\ninterfaces = ["{here}"]\n'
    rig.start_collector()
    rig.start_agent()
    server = rig.spawn(*far.command(sys.executable, "-c", FAR), log="far.log")
    wait_until("the far end", lambda: "ready" in server.log.read_text(), 10)
    wanted = opening(rig, far)
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    before = fetched(rig, wanted, until, "before")
    for name, (packets, _) in before.items():
        check(packets == wanted[name][1], f"{name}: {packets} packets in the ring, {wanted[name][1]} in the flows")
    result = push(rig, arguments)
    after = fetched(rig, wanted, until, "after")
    result["kept"] = {name: packets for name, (packets, _) in after.items()}
    counters = rig.agent_status()["counters"]
    result["counters"] = {c["name"]: c["value"] for c in counters} if isinstance(counters, list) else counters
    for name, (packets, data) in before.items():
        check(after[name] == (packets, data), f"{name}: {after[name][0]} packets of {packets} are left")
    check(result["ring_largest_bytes"] <= RING_BYTES, f"the ring had {result['ring_largest_bytes']} bytes")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=7.26e6, help="bytes a second")
    parser.add_argument("--each", type=float, default=1 << 20, help="bytes of a connection")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    with Rig("packets-story") as rig:
        result = story(rig, arguments)
        result["machine"] = f"{os.cpu_count()} cores, virtual, Linux {os.uname().release.split('-')[0]}"
    note(f"{result['sent_bytes'] / 1e9:.2f} GB in {result['seconds']:.0f} s ({result['rate'] / 1e6:.2f} MB/s) in connections of {arguments.each:.0f} B")
    for name, packets in result["kept"].items():
        note(f"{name}: all {packets} packets are there, the same bytes as before")
    note(f"ring at most {result['ring_largest_bytes'] / (1 << 20):.0f} of 256 MiB; agent {result['cpu_percent']:.1f} % of a core, PSS at most "
         f"{result['pss_largest_bytes'] / 1e6:.1f} MB")
    for name, value in result["counters"].items():
        if name.startswith("packet"):
            note(f"  {name}: {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
