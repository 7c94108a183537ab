#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A fleet on one collector: fleet.py [--agents N] [--seconds S] [--period-ms MS] [--rows N] [--outage S] [--json FILE]

N agents (500), each with a key and a certificate that it enrolled for by a join token, a spool and the real sender program, stream
frames made by the agent's own code (fleet_agents) to one real collector over mutual TLS. Printed are, beside what one agent alone
sees in the same run: memory of the collector by connection, its CPU, and how long a frame waits for its acknowledgement; then two
reconnect storms, one after kill -9 and one after an orderly stop, each with the time until every agent's new evidence is durable
again. Fails if an agent does not come back, if a frame that was acknowledged is not in the journal exactly once and in its chain,
or if the collector finds fault with the evidence. All of it, agents included, shares this machine: read ratios. Root.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import clog  # noqa: E402
from harness import BIN, Rig, check, free_port, note, run, wait_until  # noqa: E402

FAULTS = ("agent-silent", "agent-killed", "agent-paused", "evidence-gap", "evidence-fork", "evidence-rollback", "spool-lost")
TICK = os.sysconf("SC_CLK_TCK")


def usage(pid):
    """Memory in bytes, threads, descriptors and CPU seconds of a process, with what its ended threads took."""
    found = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name in ("Rss", "Pss"):
            found[name.lower()] = int(value.split()[0]) * 1024
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    found["cpu_s"] = (int(fields[11]) + int(fields[12])) / TICK
    found["threads"] = int(fields[17])
    found["fds"] = len(os.listdir(f"/proc/{pid}/fd"))
    return found


class Fleet:
    """The program that plays the agents."""

    def __init__(self, rig, arguments, enrol_port, token):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="culprit-fleet-", dir="/dev/shm"))
        rig.cleanups.append(lambda: shutil.rmtree(self.dir, ignore_errors=True))
        self.log = open(rig.dir / "fleet.log", "wb")
        self.process = subprocess.Popen(
            [str(a) for a in (BIN / "fleet_agents", "--dir", self.dir, "--sender", BIN / "culprit-agent-sender", "--collector",
                              f"127.0.0.1:{rig.port}", "--enrol", f"127.0.0.1:{enrol_port}", "--ca", rig.pki / "ca.pem", "--token", token,
                              "--agents", arguments.agents, "--rows", arguments.rows, "--period-ms", arguments.period_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        rig.cleanups.append(self.end)

    def ask(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        check(answer, f"the fleet ended at {words}:\n{pathlib.Path(self.log.name).read_text(errors='replace')[-2000:]}")
        return json.loads(answer)

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def measure(rig, fleet, seconds):
    before, began = usage(rig.collector.pid), time.monotonic()
    waits = fleet.ask("run", seconds)
    after = usage(rig.collector.pid)
    return {**waits, "frames_per_s": waits["frames"] / seconds, "cpu_cores": (after["cpu_s"] - before["cpu_s"]) / (time.monotonic() - began), **after}


def storm(rig, fleet, end, outage):
    """The collector goes and comes back: seconds from when it listens until the new evidence of half, of 99 % and of all agents is durable."""
    end()
    fleet.ask("mark")
    time.sleep(outage)
    rig.start_collector()
    began = time.monotonic()
    back = sorted(b - began for b in fleet.ask("await")["back"])
    return {"outage_s": outage, "half_s": back[len(back) // 2], "p99_s": back[int(0.99 * (len(back) - 1))], "all_s": back[-1]}


def account(rig, agents):
    """What was acknowledged is in the journal, once, in order and chained."""
    problems = []
    entries = clog.read_journal(rig.dir / "collector" / "journal", problems)
    heads, holes = clog.check_streams(entries, problems)
    check(not problems and not holes, f"{len(problems)} problems: {problems[:5]}, holes: {holes[:5]}")
    for agent in agents:
        for lane, acked in enumerate(agent["acked"]):
            have = heads.get((bytes.fromhex(agent["stream"].replace("-", "")), lane), 0)
            check(have >= acked, f"stream {agent['stream']} {clog.LANES[lane]}: {acked} acknowledged, the journal ends at {have}")
            check(acked == agent["newest"][lane], f"stream {agent['stream']}: not all was acknowledged: {agent}")
    run(BIN / "culprit-collector", "verify", "--config", rig.dir / "collector.toml")
    return len(entries)


def table(result):
    alone, all_, agents = result["alone"], result["fleet"], result["agents"]
    memory = all_["pss"] - alone["pss"]
    note(f"{'':34}{'1 agent':>12}{f'{agents} agents':>14}")
    note(f"{'collector: PSS MB':34}{alone['pss'] / 1e6:12.1f}{all_['pss'] / 1e6:14.1f}")
    note(f"{'collector: RSS MB':34}{alone['rss'] / 1e6:12.1f}{all_['rss'] / 1e6:14.1f}")
    note(f"{'  PSS a further connection, KiB':34}{'':12}{memory / 1024 / (agents - 1):14.0f}")
    note(f"{'collector: CPU, cores':34}{alone['cpu_cores']:12.3f}{all_['cpu_cores']:14.3f}")
    note(f"{'  ms of CPU a frame':34}{alone['cpu_cores'] / alone['frames_per_s'] * 1e3:12.2f}{all_['cpu_cores'] / all_['frames_per_s'] * 1e3:14.2f}")
    for name in ("threads", "fds"):
        note(f"{'collector: ' + name:34}{alone[name]:12}{all_[name]:14}")
    note(f"{'frames/s':34}{alone['frames_per_s']:12.1f}{all_['frames_per_s']:14.1f}")
    for name in ("p50", "p90", "p99", "max"):
        note(f"{f'frame made -> acknowledged, {name} ms':34}{alone[name + '_ms']:12.1f}{all_[name + '_ms']:14.1f}")
    note(f"enrolled by token: {result['enrolled_per_s']:.0f} a second; connected all at once within {result['connect_s']:.1f} s")
    for name, one in result["storms"].items():
        note(f"storm after {name}: away {one['outage_s']} s, then half are back {one['half_s']:.1f} s after it listens, 99 % {one['p99_s']:.1f} s, all {one['all_s']:.1f} s")
    note(f"{result['frames_in_journal']} frames acknowledged, each in the journal exactly once")


def play(rig, arguments):
    enrol_port = free_port()
    rig.collector_extra = f'[enrol]\nlisten = "127.0.0.1:{enrol_port}"\n'
    rig.start_collector()
    token = json.loads(run(BIN / "culprit-collector", "token", "create", "--uses", arguments.agents, "--json", "--config",
                           rig.dir / "collector.toml").stdout)["token"]
    fleet = Fleet(rig, arguments, enrol_port, token)
    enrolled = fleet.ask("enrol")
    result = {"agents": arguments.agents, "rows": arguments.rows, "period_ms": arguments.period_ms,
              "enrolled_per_s": enrolled["enrolled"] / enrolled["seconds"]}
    fleet.ask("connect", 1)
    fleet.ask("run", 2)
    result["alone"] = measure(rig, fleet, arguments.seconds)
    result["connect_s"] = fleet.ask("connect", arguments.agents)["seconds"]
    fleet.ask("run", 2)  # what was made before there was a connection
    result["fleet"] = measure(rig, fleet, arguments.seconds)
    result["storms"] = {"kill -9": storm(rig, fleet, rig.collector.kill, arguments.outage),
                        "an orderly stop": storm(rig, fleet, lambda: rig.collector.stop(30), arguments.outage)}
    result["after"] = measure(rig, fleet, min(5, arguments.seconds))
    result["settle_s"] = fleet.ask("settle")["seconds"]
    agents = fleet.ask("acked")["agents"]
    result["sender_restarts"] = sum(a["restarts"] for a in agents)
    wait_until("index caught up", lambda: rig.status()["index_lsn"] == rig.status()["journal_lsn"], 60)
    faults = [(f["rule"], f["reason"]) for f in rig.query("findings") if f["rule"] in FAULTS]
    check(not faults, f"the collector finds fault with honest agents: {faults[:5]}")
    check(len(rig.query("hosts")) == arguments.agents, "not every agent is among the hosts")
    check(result["sender_restarts"] == 0, f"{result['sender_restarts']} senders ended by themselves")
    fleet.ask("quit")
    rig.collector.stop(30)
    result["frames_in_journal"] = account(rig, agents)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=20, help="of each measurement")
    parser.add_argument("--period-ms", type=int, default=1000, help="between two frames of an agent")
    parser.add_argument("--rows", type=int, default=20, help="flows in a frame")
    parser.add_argument("--outage", type=int, default=5, help="seconds that the collector is away")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    with Rig("fleet") as rig:
        result = play(rig, arguments)
        table(result)
        if arguments.json:
            arguments.json.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
