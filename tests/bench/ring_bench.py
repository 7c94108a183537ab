#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the packet ring costs beside tcpdump: ring_bench.py [--rounds N] [--rate PPS,...] [--seconds S] [--json FILE]

One socket sends 64-byte frames (22 bytes of UDP payload) at a stated rate from one network namespace; they are captured
where they come in at another. In turns within each round:

    nothing   the sender alone
    tcpdump   tcpdump -s 96 -w, with the ring's buffer
    headers   the ring, told to keep the first 96 bytes of every packet, as tcpdump does
    budget    the ring as the agent runs it: first bytes of a flow, then headers, then counts

Figures: CPU seconds of the capturing process and of the sender (in whose time the kernel runs the filter of a veth),
both by packet; packets that the kernel had no room for; and ratios to tcpdump of the same round, as median and range.
`$CULPRIT_BIN` is where ring_capture is. Root.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from harness import BIN, Rig, check, note, wait_until  # noqa: E402

PORT, PAYLOAD, NOBODY = 7301, 22, "192.0.2.66"
MODES = ("nothing", "tcpdump", "headers", "budget")
BUFFER_KIB = 4096
MAX_PACKETS = 5_000_000


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(rig, end, mode, number):
    if mode == "nothing":
        return None
    where = rig.dir / f"{mode}-{number}"
    where.mkdir()
    if mode == "tcpdump":
        command = ["tcpdump", "-i", end.interface, "-n", "-s", "96", "-B", BUFFER_KIB, "-Z", "root", "-w", where / "file"]
    else:
        command = [BIN / "ring_capture", where, end.interface, mode]
    daemon = rig.spawn(*end.command(*command), log=f"{mode}-{number}.log")
    wait_until(mode, lambda: re.search("ready|listening on", daemon.log.read_text()))
    return daemon


def finish(daemon, mode, before):
    """CPU time, packets kept and packets dropped of what was capturing."""
    cpu = cpu_seconds(daemon.pid) - before
    daemon.process.send_signal(signal.SIGINT)
    daemon.process.wait(30)
    text = daemon.log.read_text()
    if mode == "tcpdump":
        kept, dropped = (int(re.search(rf"(\d+) packets? {what}", text).group(1)) for what in ("captured", "dropped by kernel"))
        return {"cpu": cpu, "kept": kept, "dropped": dropped}
    told = json.loads(text.splitlines()[-1])
    check(told["lost"] == 0, f"packets that the disk did not take: {told}")
    return {"cpu": cpu, "kept": told["written"], "dropped": told["dropped"], "seen": told["seen"]}


def measure(rig, program, ends, mode, rate, seconds, number):
    a, b = ends
    daemon = start(rig, b, mode, number)
    time.sleep(0.5)
    before = cpu_seconds(daemon.pid) if daemon else 0  # loading a program is not what a packet costs
    count = min(int(rate * seconds), MAX_PACKETS)
    sent = json.loads(a.run(program, "udp", NOBODY, PORT, PAYLOAD, count, rate).stdout)
    time.sleep(1.0)  # what the kernel still gathers
    figures = finish(daemon, mode, before) if daemon else {"cpu": 0.0, "kept": 0, "dropped": 0}
    return figures | {"sent": sent["operations"], "sender_cpu": sent["cpu_seconds"], "rate": sent["operations"] / sent["seconds"]}


def spread(values):
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def report(rate, rounds):
    rows = {}
    note(f"\n{rate:,} packets/s asked for")
    note(f"{'':<10}{'sent/s':>10}{'kept':>10}{'dropped':>10}{'ns CPU/packet':>15}{'sender ns':>11}   CPU / tcpdump's: median (range)")
    for mode in MODES:
        got = [r[mode] for r in rounds]
        row = {key: statistics.median(g[key] for g in got) for key in ("rate", "kept", "dropped")}
        row["cpu_ns"] = statistics.median(g["cpu"] / g["sent"] * 1e9 for g in got)
        row["sender_ns"] = statistics.median(g["sender_cpu"] / g["sent"] * 1e9 for g in got)
        cell = ""
        if mode in ("headers", "budget"):
            row["cpu_ratio"] = spread([r[mode]["cpu"] / max(r["tcpdump"]["cpu"], 0.01) for r in rounds])
            cell = "{median:.2f} ({low:.2f}-{high:.2f})".format(**row["cpu_ratio"])
        rows[mode] = row
        note(f"{mode:<10}{row['rate']:>10,.0f}{row['kept']:>10,.0f}{row['dropped']:>10,.0f}{row['cpu_ns']:>15,.0f}"
             f"{row['sender_ns']:>11,.0f}   {cell}")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", default="20000,100000", help="packets a second, comma-separated")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    results, number = {}, 0
    with Rig("ring") as rig:
        program = rig.compile("netload", "-static")
        a, b = rig.namespaces()
        a.run("ip", "neigh", "replace", NOBODY, "lladdr", "02:00:00:00:00:66", "dev", a.interface, "nud", "permanent")
        for rate in (int(r) for r in arguments.rate.split(",")):
            rounds = []
            for turn in range(arguments.rounds):
                order = MODES[turn % len(MODES):] + MODES[:turn % len(MODES)]
                figures = {}
                for mode in order:
                    number += 1
                    figures[mode] = measure(rig, program, (a, b), mode, rate, arguments.seconds, number)
                rounds.append(figures)
            results[rate] = report(rate, rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
