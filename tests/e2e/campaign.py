# SPDX-License-Identifier: Apache-2.0
"""What the crash tests share: a load with its truth, kills with the checks that follow each, and the final account."""
import collections
import contextlib
import json
import pathlib
import sys
import time

import clog
from harness import BIN, HERE, Failure, check, descendants, note, run, wait_until

PORTS = [7001, 7101, 7102, 7103]
SETTLE = 2.5  # seconds that an agent has to bring a closed connection into its spool


def stat_fields(pid):
    """Fields 3 and later of /proc/PID/stat; none once it is gone."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return []


def state(pid):
    return (stat_fields(pid) or "X")[0]


def identity(pid):
    """A pid is used again; with its start time it is one process."""
    fields = stat_fields(pid)
    return (pid, fields[19]) if fields else None


class Campaign:
    def __init__(self, rig, rate=60, open_count=20, collector_data=None):
        self.rig, self.rate, self.open_count = rig, rate, open_count
        self.spool = rig.dir / "agent" / "spool"
        self.collector_data = pathlib.Path(collector_data or rig.dir / "collector")
        self.journal = self.collector_data / "journal"
        self.kills = {"agent": 0, "collector": 0}
        self.declared = None  # frames that the agent says are lost, by the collector; known at the end
        self.at_work = []  # [since, until] of each agent
        self.children = set()

    def start(self):
        self.a, self.b = self.rig.namespaces()
        for port in PORTS:
            server = self.rig.spawn(*self.b.command(sys.executable, HERE / "echo_server.py", port, port + 500, port + 600),
                                    log=f"server-{port}.log")
            wait_until("echo server", lambda server=server: "ready" in server.log.read_text())
        self.start_collector()
        self.rig.start_agent()
        self.agent_is_up()
        self.load = self.rig.spawn(
            *self.a.command(sys.executable, HERE / "load.py", self.b.v4, ",".join(map(str, PORTS)), self.rate, 100000,
                            self.open_count), log="load.log")

    def start_collector(self):
        self.rig.start_collector(self.collector_data)

    def stop_collector(self):
        self.rig.collector.stop(30)

    def agent_is_up(self):
        self.at_work.append([time.time() + 0.2, None])
        self.children |= {identity(p) for p in {self.rig.agent.pid, *descendants(self.rig.agent.pid)}} - {None}

    def acked(self):
        """(stream, {lane: acked}) as the agent knows it now; from its file, which may be older, if it does not run."""
        if self.rig.agent is not None and self.rig.agent.alive():
            with contextlib.suppress(Failure):
                spool = self.rig.agent_status()["spool"]
                return (bytes.fromhex(spool["stream_id"].replace("-", "")),
                        {lane: spool["lanes"][name]["acked_seq"] for lane, name in enumerate(clog.LANES)})
        return clog.read_acked(self.spool)

    def kill_collector(self):
        self.rig.collector.kill()
        self.kills["collector"] += 1
        self.check_durable("after a kill of the collector")

    def check_durable(self, when):
        acked = self.acked()
        if acked is None:
            return
        problems = []
        heads, holes = clog.check_streams(clog.read_journal(self.journal, problems), problems)
        check(not problems, f"{when}: journal: {problems}")
        self.check_holes(holes, when)
        for lane, seq in acked[1].items():
            have = heads.get((acked[0], lane), 0)
            check(have >= seq, f"{when}: {clog.LANES[lane]} acknowledged to {seq}, the journal ends at {have}")

    def check_holes(self, holes, when):
        """Frames that are missing between others of the journal. After a mere kill there are none."""
        check(not holes, f"{when}: frames missing: {holes}")

    def read_spool(self, problems):
        return clog.read_spool(self.spool, problems)

    def restart_collector(self):
        self.rig.start_collector(self.collector_data)

    def kill_agent(self):
        self.children |= {identity(p) for p in descendants(self.rig.agent.pid)} - {None}
        self.before = clog.read_acked(self.spool)
        known = self.acked()
        self.rig.agent.kill()
        self.kills["agent"] += 1
        self.at_work[-1][1] = time.time() - SETTLE
        if known is not None:
            problems = []
            heads, _ = clog.check_streams(clog.read_journal(self.journal, problems), problems)
            for lane, seq in known[1].items():
                check(heads.get((known[0], lane), 0) >= seq, f"{clog.LANES[lane]} {seq} acknowledged, not in the journal")

    def restart_agent(self):
        self.rig.start_agent(wait=False)
        newest = self.before[1] if self.before else {}

        def running():
            check(self.rig.agent.alive(), f"agent ended:\n{self.rig.agent.tail()}")
            return self.rig.agent_status()["pid"] == self.rig.agent.pid
        wait_until("agent at work again", running, 30)
        self.agent_is_up()
        after = clog.read_acked(self.spool)
        for lane, seq in newest.items():
            check(after and after[1].get(lane, 0) >= seq, f"acked went back in {clog.LANES[lane]}: {newest} to {after}")

    def summary(self):
        acked = self.acked()
        size = sum(p.stat().st_size for p in self.journal.glob("*.clog"))
        return (f"{self.kills['agent']} kills of the agent, {self.kills['collector']} of the collector; acked "
                f"{acked[1] if acked else None}; journal {size // 1024} KiB")

    def leftovers(self):
        """Processes of ours that outlived their daemon. One that only waits to be reaped has not."""
        return [child for child in self.children if child == identity(child[0]) and state(child[0]) not in "ZX"]

    def drained(self):
        acked = self.acked()
        problems = []
        lanes = clog.read_spool(self.spool, problems)
        return acked and all(not frames or frames[-1].seq <= acked[1].get(lane, 0) for lane, frames in lanes.items())

    def finish(self, streams=1):
        """Ends the load, lets everything arrive, and accounts for it."""
        time.sleep(1.5)  # of load, so that the last agent has connections to account for
        self.load.stop(10)
        time.sleep(SETTLE + 1)
        self.at_work[-1][1] = time.time() - SETTLE
        self.rig.agent.stop(30)
        wait_until("index caught up", self.index_caught_up, 30, 0.3)
        self.check_connections()
        self.declared = self.rig.host()["lost_frames"]
        self.stop_collector()
        problems = []
        spool = self.read_spool(problems)
        entries = clog.read_journal(self.journal, problems)
        heads, holes = clog.check_streams(entries, problems)
        check(not problems, f"{len(problems)} problems: {problems[:5]}")
        self.check_holes(holes, "at the end")
        found = len({stream for stream, _ in heads})
        check(streams in (None, found), f"{found} streams, expected {streams}")
        acked = self.acked()
        for lane, frames in spool.items():
            have = heads.get((acked[0], lane), 0)
            check(have >= acked[1].get(lane, 0), f"{clog.LANES[lane]}: acked {acked[1]} but the journal has {have}")
            check(not frames or frames[0].seq <= have + 1, f"{clog.LANES[lane]}: hole between journal and spool")
        verdict = run(BIN / "culprit-collector", "verify", "--config", self.rig.dir / "collector.toml").stdout
        note(f"{len(entries)} frames of {found} streams, each exactly once; verify: {verdict.strip().splitlines()[-1]}")

    def index_caught_up(self):
        status = self.rig.status()
        return status["index_lsn"] == status["journal_lsn"]

    def check_connections(self):
        truth = [json.loads(line) for line in self.load.log.read_text().splitlines() if line.startswith("{")]
        due = [t for t in truth if any(since <= t["began"] and t["ended"] <= until for since, until in self.at_work)]
        rows = {}
        for port in PORTS:
            for flow in self.rig.flows("--remote", self.b.v4, "--port", port):
                if flow["direction"] == "out":
                    rows.setdefault((port, flow["local_port"]), []).append(flow)
        # A long load uses ports and sizes again: then there are as many rows as there were connections.
        alike = lambda t: (t["remote_port"], t["local_port"], t["bytes"])
        made, owed = collections.Counter(map(alike, truth)), collections.Counter(map(alike, due))
        wrong = []
        for t in due:
            found = [f for f in rows.get((t["remote_port"], t["local_port"]), [])
                     if (f["tx_payload_bytes"], f["rx_payload_bytes"]) == (t["bytes"], t["bytes"])]
            if not owed[alike(t)] <= len(found) <= made[alike(t)]:
                wrong.append((t, rows.get((t["remote_port"], t["local_port"]))))
        note(f"{len(truth)} connections, {len(due)} while an agent was at work, {len(due) - len(wrong)} of them in the "
             f"index exactly once with the right bytes")
        check(due, "no connection to check")
        if wrong:
            raise Failure(f"{len(wrong)} connections missing, double or wrong, first: {json.dumps(wrong[0])[:1500]}; "
                          f"losses told: {self.rig.host().get('losses')}")
