#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What watching costs the watched: overhead.py [--rounds N] [--small] [--json FILE] [--against NAME[,NAME]]

The same work is done with nothing, with the agent, and with other tools that watch connections, in turns within each
round, between two network namespaces. Each figure is time with / time without of the same round, as median and range:

    flood    64-byte datagrams through one socket that nobody takes: the sender alone (packets a second: the inverse)
    udp      the same with a receiver on this host, which costs both ways
    connect  refused connects, one after the other
    stream   one TCP connection, 64 KiB writes

by wall clock, and but for stream by CPU time of the sender (the kernel's work for a packet is done in its time there). For udp
it also says whether every packet that the sender counted is in its flow. Other tools: `tcplife` and `tcpconnect` of Debian's bpfcc-tools,
`auditd` (a rule on connect); one that is not installed or does not start is named and left out. Root.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from harness import Rig, check, note, run, wait_until  # noqa: E402

UDP, TCP, CLOSED = 7301, 7302, 7399
NOBODY = "192.0.2.66"  # a neighbour that is known and not there
LOADS = {"flood": ("udp", UDP, 64, 400_000), "udp": ("udp", UDP, 64, 400_000), "connect": ("connect", CLOSED, 0, 40_000), "stream": ("stream", TCP, 65536, 30_000)}


class Nothing:
    name = "nothing"

    @contextlib.contextmanager
    def watching(self):
        yield


class Agent:
    name = "culprit"

    def __init__(self, rig):
        self.rig = rig

    @contextlib.contextmanager
    def watching(self):
        before = (self.rig.host() or {"frames": 0})["frames"]
        self.rig.start_agent(wait=False)
        wait_until("agent heard of", lambda: (self.rig.host() or {"frames": 0})["frames"] > before, 30)
        time.sleep(1.5)  # its first look at what was there is not what it costs afterwards
        try:
            yield
        finally:
            self.rig.agent.stop()


class Bcc:
    """A tracer of bpfcc-tools, writing to nowhere."""

    def __init__(self, rig, name):
        self.rig, self.name = rig, name

    @contextlib.contextmanager
    def watching(self):
        tool = shutil.which(f"{self.name}-bpfcc")
        check(tool, "not installed (Debian: bpfcc-tools)")
        with open(self.rig.dir / f"{self.name}.log", "wb") as log:
            process = subprocess.Popen([tool], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            time.sleep(8)  # it compiles its program first
            check(process.poll() is None, "does not start here: " +
                  (self.rig.dir / f"{self.name}.log").read_text(errors="replace")[-200:].replace("\n", " "))
            yield
        finally:
            process.terminate()
            process.wait(10)


class Audit:
    name = "auditd"

    @contextlib.contextmanager
    def watching(self):
        tool = shutil.which("auditctl")
        check(tool, "not installed (Debian: auditd)")
        rule = ["exit,always", "-F", "arch=b64", "-S", "connect", "-k", "culprit-bench"]
        run(tool, "-e", "1")
        run(tool, "-a", *rule)
        try:
            yield
        finally:
            run(tool, "-d", *rule, check=False)


def measure(end, program, remote, load, scale):
    mode, port, size, count = LOADS[load]
    remote = NOBODY if load == "flood" else remote
    return json.loads(end.run(program, mode, remote, port, size, max(1000, int(count * scale))).stdout)


def accounted(rig, result):
    """Packets of the sender's flow over packets that it sent."""
    def look():
        flows = [f for f in rig.flows("--port", UDP, "--direction", "out") if f["pid"] == result["pid"]]
        packets = sum(f["tx_packets"] for f in flows)
        return packets if packets >= result["operations"] else None
    with contextlib.suppress(Exception):
        return wait_until("all packets in the flow", look, 15) / result["operations"]
    return sum(f["tx_packets"] for f in rig.flows("--port", UDP, "--direction", "out")
               if f["pid"] == result["pid"]) / result["operations"]


def one_round(rig, end, program, remote, subjects, scale, absent):
    figures, shares = {}, []
    for subject in subjects:
        if subject.name in absent:
            continue
        try:
            with subject.watching():
                for load in LOADS:
                    result = measure(end, program, remote, load, scale)
                    figures[subject.name, load] = result
                    if subject.name == "culprit" and load in ("flood", "udp"):
                        shares.append(accounted(rig, result))
        except Exception as error:  # noqa: BLE001: another tool's trouble is a line in the report
            if subject.name in ("nothing", "culprit"):
                raise
            absent[subject.name] = str(error)
            note(f"left out: {subject.name}: {error}")
    return figures, shares


def ratios(rounds, name, load, key):
    values = [r[name, load][key] / r["nothing", load][key] for r in rounds if (name, load) in r and r["nothing", load][key] > 0]
    return {"median": statistics.median(values), "low": min(values), "high": max(values)} if values else None


def report(rounds, names):
    rows = {}
    note(f"\n{'with / without':<14}{'load':<10}{'wall: median (range)':>26}{'CPU: median (range)':>26}")
    for name in names:
        for load in LOADS:
            wall, cpu = ratios(rounds, name, load, "seconds"), ratios(rounds, name, load, "cpu_seconds")
            if wall is None:
                continue
            rows[f"{name}.{load}"] = {"wall": wall} if load == "stream" else {"wall": wall, "cpu": cpu}
            cells = [f"{r['median']:.3f} ({r['low']:.3f}-{r['high']:.3f})" for r in rows[f"{name}.{load}"].values()] + [""]
            note(f"{name:<14}{load:<10}{cells[0]:>26}{cells[1]:>26}")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="a tenth of the work")
    parser.add_argument("--against", default="tcplife,auditd", help="other tools, comma-separated; empty for none")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    scale = 0.1 if arguments.small else 1.0
    with Rig("overhead") as rig:
        program = rig.compile("netload", "-static")
        a, b = rig.namespaces()
        for mode, port in (("sink-udp", UDP), ("sink-tcp", TCP)):
            sink = rig.spawn(*b.command(program, mode, b.v4, port, 0, 0), log=f"{mode}.log")
            wait_until(mode, lambda sink=sink: "ready" in sink.log.read_text())
        a.run("ip", "neigh", "replace", NOBODY, "lladdr", "02:00:00:00:00:66", "dev", a.interface, "nud", "permanent")
        rig.start_collector()
        others = [Audit() if name == "auditd" else Bcc(rig, name) for name in arguments.against.split(",") if name]
        subjects = [Nothing(), Agent(rig), *others]
        absent, rounds, shares = {}, [], []
        measure(a, program, b.v4, "udp", scale)
        for number in range(arguments.rounds):
            order = subjects[number % len(subjects):] + subjects[:number % len(subjects)]
            figures, share = one_round(rig, a, program, b.v4, order, scale, absent)
            rounds.append(figures)
            shares += share
        rows = report(rounds, [s.name for s in subjects if s.name != "nothing"])
        rate = {load: statistics.median(r["nothing", load]["seconds"] / r["culprit", load]["seconds"] for r in rounds)
                for load in ("flood", "udp")}
        note(f"64-byte UDP packets a second, with the agent / without: {rate['flood']:.3f} (with a receiver on this host "
             f"{rate['udp']:.3f}); packets in the flow / sent: {min(shares):.6f} to {max(shares):.6f}")
        result = {"machine": f"{os.cpu_count()} cores, virtual, Linux {os.uname().release.split('-')[0]}", "rows": rows,
                  "udp_packets_ratio": rate, "accounted": shares, "left_out": absent}
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=2) + "\n")
        check(all(share == 1 for share in shares), f"packets of the flood that are not in its flow: {shares}")


if __name__ == "__main__":
    main()
