# SPDX-License-Identifier: Apache-2.0
"""What the scenarios share: the set-up, one trial's window, and the judgement of Culprit's answer against ground truth.

Ground truth is what the generators counted themselves (pid, payload) and what the interfaces of their namespace counted
(L3 bytes and packets). A trial is right if each row in the namespace within the trial's window is charged to the process
that did it, with its executable, command line and user; and if payload and wire bytes agree within 1 per cent. Segments of
TCP time-wait entries, which no hook sees, are allowed for where a generator closes first: one each way for a connection."""
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "e2e"))
from harness import TOP, Failure, Rig, check, cpu_ns, descendants, note, run, wait_until  # noqa: E402,F401

WITHIN = 0.01
V4, V6 = "192.0.2.2", "2001:db8::2"
DISCARD, SOURCE, ECHO, HOLD = 7001, 7002, 7003, 7004
U_DISCARD, U_SOURCE = 7101, 7102
TIMEWAIT_BYTES = 80  # the largest empty segment: IPv6, TCP with time stamps


class NotHere(Exception):
    """The machine cannot run the scenario: reported, and neither passed nor failed."""


@dataclasses.dataclass
class Party:
    """One process of a scenario and what it did. tx, rx: payload; None = not told apart."""
    pid: int
    exe: str
    tx: int = None
    rx: int = None
    words: tuple = ()
    user: str = "root"


@dataclasses.dataclass
class Verdict:
    process: bool = False
    payload: float = None  # ratios: Culprit's over ground truth; None = does not apply
    wire: float = None
    packets: float = None
    allowed: int = 0  # segments of time-wait entries that may be missing each way
    notes: list = dataclasses.field(default_factory=list)  # what differs
    info: list = dataclasses.field(default_factory=list)  # what else is worth saying
    bytes_right: bool = False

    @property
    def passed(self):
        return self.process and self.bytes_right


def ratio(got, wanted):
    return got / wanted if wanted else (1.0 if got == wanted else float("inf"))


def worst(ratios):
    ratios = [r for r in ratios if r is not None]
    return max(ratios, key=lambda r: abs(r - 1)) if ratios else None


def near(value):
    return value is None or abs(value - 1) <= WITHIN


def stamp(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def host_pid(launcher, comm):
    """The descendant of a launcher that became the generator."""
    found = [pid for pid in descendants(launcher) if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == comm]
    check(len(found) == 1, f"descendants of {launcher} named {comm}: {found}")
    return found[0]


class Generator:
    """A running generator whose steps are driven by lines."""

    def __init__(self, bench, command, **environment):
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **{k: str(v) for k, v in environment.items()}})
        bench.rig.cleanups.append(self.end)

    def line(self):
        text = self.process.stdout.readline()
        if not text:
            raise Failure(f"{self.process.args} said nothing and ended with {self.process.wait()}")
        return json.loads(text)

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self):
        """All lines that are left, after its end."""
        output, _ = self.process.communicate(timeout=120)
        check(self.process.returncode == 0, f"{self.process.args}: exit {self.process.returncode}: {output}")
        return [json.loads(line) for line in output.splitlines()]

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Bench:
    def __init__(self, rig, quick):
        self.rig, self.quick = rig, quick
        self.programs = {}
        self.a = self.b = self.peer = None
        self.tool = None  # another tool that watches the same trial

    def size(self, full, quick):
        return quick if self.quick else full

    # --- set-up ----------------------------------------------------------------------------------------------------------
    def compile(self):
        for source in sorted((HERE / "bins").glob("*.c")):
            target = self.rig.dir / source.stem
            run("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-static", "-pthread", "-I", TOP, "-o", target,
                source)
            self.programs[source.stem] = str(target)

    def start_network(self):
        self.a, self.b = self.rig.namespaces()
        self.quiet_loopback(self.a)
        self.peer = self.start_peer(self.b)

    def quiet_loopback(self, end):
        end.run("ethtool", "-K", "lo", "tso", "off", "gso", "off", "gro", "off", check=False)

    def start_peer(self, end, *arguments):
        peer = self.rig.spawn(*end.command(self.programs["peer"], *arguments), log=f"peer-{len(self.rig.cleanups)}.log")
        wait_until("peer ready", lambda: "ready" in peer.log.read_text(), 10, 0.02)
        return peer

    def generator(self, name, *arguments, end=None, user="root", **environment):
        become = ("setpriv", "--reuid", user, "--regid=65534", "--clear-groups") if user != "root" else ()
        return Generator(self, (end or self.a).command(*become, self.programs[name], *arguments), **environment)

    def netns(self, end):
        return int(end.run("readlink", "/proc/self/ns/net").stdout.split("[")[1].rstrip("]\n"))

    # --- one trial ---------------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def trial(self, *ends, loopback=False):
        trial = Trial(self, ends or (self.a,), loopback)
        if self.tool:
            self.tool.begin(self, trial)
        yield trial
        trial.close()
        if self.tool:
            self.tool.finish(trial)


class Trial:
    """A window in time over one or more namespaces: what their interfaces counted, and the rows of Culprit."""

    def __init__(self, bench, ends, loopback):
        self.bench, self.ends = bench, ends
        self.interface = "lo" if loopback else None
        self.namespaces = {bench.netns(end) for end in ends}
        self.before = self.counters()
        self.began = time.time()
        self.wire = None
        self.parties = []

    def counters(self):
        total = [0, 0, 0, 0]
        for end in self.ends:
            if self.interface == "lo":
                names = ("tx_bytes", "tx_packets", "rx_bytes", "rx_packets")
                text = end.run("cat", *(f"/sys/class/net/lo/statistics/{n}" for n in names)).stdout
                values = [int(v) for v in text.split()]  # lo counts without the Ethernet header
            else:
                values = end.counters()
            total = [t + v for t, v in zip(total, values)]
        return total

    def close(self):
        """Takes the interface's difference once nothing has moved for a while."""
        last, same = self.counters(), 0
        while same < 3:
            time.sleep(0.05)
            now = self.counters()
            same, last = (same + 1, last) if now == last else (0, now)
        self.wire = [after - before for after, before in zip(last, self.before)]

    def since(self):
        return stamp(self.began - 0.02)

    def rows(self, old_pid=None):
        """Everything of this window; with `old_pid` instead all that this process ever did."""
        select = ("--pid", old_pid) if old_pid else ("--since", self.since())
        rows = self.bench.rig.flows("--include-listeners", *select)
        return [r for r in rows if r["netns"] in self.namespaces and r["direction"] != "forwarded"
                and (old_pid or r["start_time"] >= self.since())]

    # --- judgement ---------------------------------------------------------------------------------------------------------
    def judge(self, *parties, allowed=0, wire=True, keep=lambda row: True, payload=True, old_pid=None, seconds=14):
        """Compares until all is exact, and at the latest after `seconds` as it is then: what nobody closes is told every ten."""
        self.parties = parties
        deadline = time.monotonic() + seconds
        while True:
            rows = [r for r in self.rows(old_pid) if keep(r)]
            verdict = self.compare(rows, parties, allowed, wire, payload)
            exact = all(v in (None, 1.0) for v in (verdict.payload, verdict.wire, verdict.packets))
            if verdict.process and (exact or time.monotonic() > deadline - seconds + 2.5 and verdict.passed):
                return verdict
            if time.monotonic() > deadline:
                return verdict
            time.sleep(0.15)

    def compare(self, rows, parties, allowed, wire, payload):
        verdict = Verdict(allowed=allowed)
        verdict.process = check_owners(rows, parties, verdict.notes)
        sums = []
        for party in parties:
            mine = [r for r in rows if r["pid"] == party.pid]
            for wanted, name in ((party.tx, "tx"), (party.rx, "rx")):
                got = sum(r[f"{name}_payload_bytes"] for r in mine)
                if payload and wanted is not None:
                    sums.append(ratio(got, wanted))
                    if got != wanted:
                        verdict.notes.append(f"pid {party.pid} payload {name} {got}, truth {wanted}")
        verdict.payload = worst(sums)
        verdict.bytes_right = near(verdict.payload)
        if wire:
            self.compare_wire(rows, allowed, verdict)
        return verdict

    def compare_wire(self, rows, allowed, verdict):
        names = ("tx_wire_bytes", "tx_packets", "rx_wire_bytes", "rx_packets")
        got = [sum(r[n] for r in rows) for n in names]
        if self.interface == "lo":  # every packet is sent and received on the one interface: count it once
            got[2:] = got[:2]
        verdict.wire = worst([ratio(got[0], self.wire[0]), ratio(got[2], self.wire[2])])
        verdict.packets = ratio(got[1] + got[3], self.wire[1] + self.wire[3])
        for have, want, unit, what in zip(got, self.wire, (TIMEWAIT_BYTES, 1) * 2, names):
            missing = want - have
            if missing:
                verdict.notes.append(f"{what} {have}, interface {want}")
            if not (near(ratio(have, want)) or 0 <= missing <= unit * allowed):
                verdict.bytes_right = False


def check_owners(rows, parties, notes):
    """Every row belongs to a party, every party has a row, and each says the right things about its process."""
    known = {p.pid: p for p in parties}
    right = True
    for row in rows:
        party = known.get(row["pid"])
        if party is None:
            if row["tx_packets"] + row["rx_packets"] == 0 or "kernel" in row["flags"]:
                continue
            notes.append(f"row of pid {row['pid']} {row['exe']} ({row['direction']} {row['remote']}:{row['remote_port']})")
            right = False
            continue
        wrong = [f"exe {row['exe']}"] if row["exe"] != party.exe and not row["exe"].startswith(party.exe + " ") else []
        wrong += [f"no '{w}' in '{row['command_line']}'" for w in party.words if w not in row["command_line"]]
        wrong += [f"user {row['user']}"] if row["user"] != party.user else []
        if wrong:
            notes.append(f"pid {party.pid}: {'; '.join(wrong)}")
            right = False
    for party in parties:
        if party.pid not in {r["pid"] for r in rows}:
            notes.append(f"no row for pid {party.pid} {party.exe}")
            right = False
    return right


def party_of(result, *words, user="root"):
    return Party(result["pid"], result["exe"], result["tx"], result["rx"], tuple(str(w) for w in words), user)


# --- what the agent costs meanwhile ---------------------------------------------------------------------------------------
class Cost(threading.Thread):
    """CPU and proportional memory of the agent's processes, sampled once a second; follows a restart."""

    def __init__(self, bench):
        super().__init__(daemon=True)
        self.bench, self.over = bench, threading.Event()
        self.cpu, self.pss = [], 0

    def processes(self):
        agent = self.bench.rig.agent
        return [agent.pid, *descendants(agent.pid)] if agent and agent.alive() else []

    def sample(self):
        used, pss = {}, 0
        for pid in self.processes():
            with contextlib.suppress(OSError, IndexError, ValueError):
                used[pid] = cpu_ns(pid)
                rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
                pss += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
        return time.monotonic(), used, pss

    def run(self):
        at, used, _ = self.sample()
        while not self.over.wait(1):
            now, fresh, pss = self.sample()
            spent = sum(value - used[pid] for pid, value in fresh.items() if pid in used)
            self.cpu.append(100 * spent / 1e9 / (now - at))
            self.pss = max(self.pss, pss)
            at, used = now, fresh

    def summary(self):
        self.over.set()
        self.join()
        ordered = sorted(self.cpu) or [0.0]
        return {"cpu_mean_percent": sum(ordered) / len(ordered), "cpu_p95_percent": ordered[int(0.95 * (len(ordered) - 1))],
                "cpu_max_percent": ordered[-1], "pss_max_bytes": self.pss, "samples": len(self.cpu)}
