#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the agent costs on this machine, as one table: agent_bench.py [--json FILE] [--seconds N] [--ring [--turns N]]

    kernel   ns a run of each eBPF program (kernel.bpf_stats_enabled), and runs, under each of four fixed loads; gross, and
             net of what an empty program is charged with meanwhile, which is the cost of measuring
    idle     CPU of the agent's processes and their RSS and PSS, while nothing is asked of them
    flows    the same at 1,000 TCP connections a second (connect, 64 bytes each way, close) on loopback
    latency  connect() -> the collector's durable ack is back at the agent, p50 and p99, on an idle host
    udp      64-byte datagrams a second with the agent against without, as a ratio: the agent is started and stopped
             again and again, each turn compared with the one before it and the one after it

With --ring instead: CPU and memory without and with the packet ring (packets.enabled), in turns, idle and at 100 connections a
second of 16 KiB each between this namespace and another, where the ring captures.

Root. Uses a private agent and collector. Figures of a shared machine: compare within one run.
"""
import argparse
import contextlib
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
from harness import BIN, Rig, check, cpu_ns, descendants, note, run, wait_until  # noqa: E402

MIN_RUNS = 100  # of a program in a load, for a mean to mean something
STATS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")


def cpu_seconds(pid):
    return sum(cpu_ns(one) for one in [pid, *descendants(pid)]) / 1e9


def memory(pid):
    """(RSS, PSS) in bytes over the process and its children."""
    rss = pss = 0
    for one in [pid, *descendants(pid)]:
        for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                rss += int(line.split()[1]) * 1024
            elif line.startswith("Pss:"):
                pss += int(line.split()[1]) * 1024
    return rss, pss


def status(rig):
    return json.loads(run(BIN / "culprit-agent", "status", "--config", rig.dir / "agent.toml", "--json",
                          stderr=subprocess.DEVNULL).stdout)


def measured(rig, seconds, load=None):
    """CPU in per cent of a core, RSS and PSS, while `load` (a function) runs, or for `seconds`."""
    began, cpu = time.monotonic(), cpu_seconds(rig.agent.pid)
    if load:
        load()
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))
    spent = time.monotonic() - began
    rss, pss = memory(rig.agent.pid)
    return {"cpu_percent": 100 * (cpu_seconds(rig.agent.pid) - cpu) / spent, "rss_bytes": rss, "pss_bytes": pss,
            "seconds": spent}


class Echo:
    """Swaps 64 bytes with whoever connects, in this process."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            sock, _ = self.listener.accept()
            with sock:
                sock.sendall(sock.recv(64))


def connect_load(port, per_second, seconds):
    began, done = time.monotonic(), 0
    while done < per_second * seconds:
        if done > (time.monotonic() - began) * per_second:
            time.sleep(0.001)
            continue
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"x" * 64)
            sock.recv(64)
        done += 1
    return done / (time.monotonic() - began)


def udp_load(packets):
    """Datagrams a second of one connected sender on loopback; nobody reads beyond the buffer."""
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", 0))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect(sink.getsockname())
    data, began = b"u" * 64, time.monotonic()
    for _ in range(packets):
        sender.send(data)
    return packets / (time.monotonic() - began)


class EmptyProgram:
    """A cgroup_skb program that does nothing, at the egress of a cgroup of our own that this process moves into."""

    def __init__(self, directory):
        self.pins, self.object = directory / "bpffs", directory / "empty.bpf.o"
        mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
        self.root = pathlib.Path(next(m[1] for m in mounts if m[2] == "cgroup2"))
        own = next(line for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::"))
        self.home = self.root / own[3:].lstrip("/")
        self.group = self.root / f"culprit-bench-{os.getpid()}"

    def __enter__(self):
        self.undo = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            run("clang", "-target", "bpf", "-O2", "-g", f"-idirafter/usr/include/{os.uname().machine}-linux-gnu", "-c",
                pathlib.Path(__file__).with_name("empty.bpf.c"), "-o", self.object)
            self.pins.mkdir()
            run("mount", "-t", "bpf", "none", self.pins)
            undo.callback(run, "umount", self.pins)
            run("bpftool", "prog", "load", self.object, self.pins / "empty", "type", "cgroup/skb")
            undo.callback((self.pins / "empty").unlink)
            self.group.mkdir()
            undo.callback(self.group.rmdir)
            run("bpftool", "cgroup", "attach", self.group, "egress", "pinned", self.pins / "empty", "multi")
            undo.callback(run, "bpftool", "cgroup", "detach", self.group, "egress", "pinned", self.pins / "empty")
            (self.group / "cgroup.procs").write_text(str(os.getpid()))
            undo.callback((self.home / "cgroup.procs").write_text, str(os.getpid()))
            self.undo = undo.pop_all()
        return self

    def __exit__(self, *_):
        self.undo.close()

    def counts(self):
        shown = json.loads(run("bpftool", "--json", "prog", "show", "pinned", self.pins / "empty").stdout)
        return shown.get("run_cnt", 0), shown.get("run_time_ns", 0)


def socket_load(count):
    for _ in range(count):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()


def process_load(count):
    for _ in range(count):
        subprocess.run(["/bin/true"], check=True)


def kernel_costs(rig, echo, empty):
    """Rows of each load by itself: a steady packet costs less than one of a handshake."""
    loads = {"connections": lambda: connect_load(echo.port, 500, 4), "datagrams": lambda: udp_load(100_000),
             "sockets": lambda: socket_load(20_000), "processes": lambda: process_load(300)}
    began, rows, before = empty.counts(), [], {p["name"]: p for p in status(rig)["programs"]}
    for load, make in loads.items():
        make()
        now = {p["name"]: p for p in status(rig)["programs"]}
        for name, program in now.items():
            old = before.get(name, {"run_count": 0, "run_time_ns": 0})
            runs = program["run_count"] - old["run_count"]
            if runs >= MIN_RUNS:
                rows.append({"load": load, "program": name, "runs": runs, "ns": (program["run_time_ns"] - old["run_time_ns"]) / runs})
        before = now
    runs, ns = (end - start for end, start in zip(empty.counts(), began))
    check(runs > 0, "the empty program did not run: are statistics allowed here?")
    rows.sort(key=lambda r: (list(loads).index(r["load"]), -r["runs"]))
    rows.insert(0, {"load": "", "program": "(empty program)", "runs": runs, "ns": ns / runs})
    return [row | {"net_ns": row["ns"] - ns / runs} for row in rows]


def udp_ratios(rig, turns):
    """Each turn with the agent against the mean of its two neighbours without."""
    def without():
        return udp_load(200_000)

    ratios, before = [], without()
    for _ in range(turns):
        rig.start_agent()
        wait_until("the agent's programs", lambda: agent_answers(rig), 30, 0.2)
        time.sleep(2)  # its first sweep and hashes are not the packets' cost
        there = udp_load(200_000)
        rig.agent.stop()
        after = without()
        ratios.append(there / statistics.mean((before, after)))
        before = after
    return {"turns": turns, "ratio": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def agent_answers(rig):
    with contextlib.suppress(Exception):
        return bool(status(rig)["programs"])
    return False


def evidence_lane(rig):
    return status(rig)["spool"]["lanes"]["evidence"]


def latency(rig, echo, rounds):
    """Milliseconds from connect() to a durable ack of the frame that was made after it."""
    samples = []
    for _ in range(rounds):
        settled = wait_until("a settled spool", lambda: (lambda l: l if l["acked_seq"] == l["newest_seq"] else None)(
            evidence_lane(rig)), 20, 0.05)
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", echo.port)) as sock:
            sock.sendall(b"x" * 64)
            sock.recv(64)
        wait_until("the ack", lambda seq=settled["newest_seq"]: evidence_lane(rig)["acked_seq"] > seq, 20, 0.005)
        samples.append(1000 * (time.monotonic() - began))
    samples.sort()
    return {"rounds": rounds, "p50_ms": statistics.median(samples),
            "p99_ms": samples[min(len(samples) - 1, int(0.99 * len(samples)))], "max_ms": samples[-1]}


FAR_ECHO = """
import socket
listener = socket.create_server(("", 7000), backlog=512)
print("ready", flush=True)
while True:
    sock, _ = listener.accept()
    with sock:
        got = 0
        while got < 16384 and (data := sock.recv(65536)):
            got += len(data)
        sock.sendall(b"y" * 64)
"""


def modest_load(per_second, seconds):
    began, done = time.monotonic(), 0
    while done < per_second * seconds:
        if done > (time.monotonic() - began) * per_second:
            time.sleep(0.001)
            continue
        with socket.create_connection(("198.51.100.2", 7000)) as sock:
            sock.sendall(b"x" * 16384)
            sock.recv(64)
        done += 1


def ring_costs(rig, seconds, turns):
    """Idle and modest traffic, without and with the ring, `turns` times each in turns."""
    here, far = rig.far_end()
    echo = rig.spawn(*far.command(sys.executable, "-c", FAR_ECHO), log="echo.log")
    wait_until("the echo", lambda: "ready" in echo.log.read_text(), 10)
    rows = {f"{ring} {load}": [] for load in ("idle", "traffic") for ring in ("without", "with")}
    for _ in range(turns):
        for ring in ("without", "with"):
            rig.agent_extra = f'[packets]\nenabled = {str(ring == "with").lower()}\ninterfaces = ["{here}"]\n'
            rig.start_agent()
            time.sleep(5)  # the first sweep and hashes are not the idle cost
            rows[f"{ring} idle"].append(measured(rig, seconds))
            rows[f"{ring} traffic"].append(measured(rig, 0, lambda: modest_load(100, seconds)))
            if ring == "with":
                kept = next(c["value"] for c in counters(rig) if c["name"] == "packets kept")
                check(kept > 100 * seconds, f"the ring kept {kept} packets")
            rig.agent.stop()
    return rows


def counters(rig):
    found = status(rig)["counters"]
    return found if isinstance(found, list) else [{"name": n, "value": v} for n, v in found.items()]


def print_ring(rows):
    note(f"{'packet ring':<20}{'CPU % of a core':>24}{'PSS MB':>22}")
    for name, samples in rows.items():
        cpu, pss = ([s[key] for s in samples] for key in ("cpu_percent", "pss_bytes"))
        note(f"{name:<20}{statistics.median(cpu):>10.2f} ({min(cpu):.2f}-{max(cpu):.2f}){statistics.median(pss) / 1e6:>10.1f} "
             f"({min(pss) / 1e6:.1f}-{max(pss) / 1e6:.1f})")


def print_table(result):
    note(f"\n{'load':<14}{'program':<28}{'runs':>10}{'gross ns':>10}{'net ns':>10}")
    for row in result["kernel"]:
        note(f"{row['load']:<14}{row['program']:<28}{row['runs']:>10}{row['ns']:>10.0f}{row['net_ns']:>10.0f}")
    note(f"\n{'agent':<28}{'CPU % of a core':>18}{'RSS MB':>10}{'PSS MB':>10}")
    for name in ("idle", "flows"):
        row = result[name]
        note(f"{name:<28}{row['cpu_percent']:>18.2f}{row['rss_bytes'] / 1e6:>10.1f}{row['pss_bytes'] / 1e6:>10.1f}")
    row = result["latency"]
    note(f"\nevent -> durable ack: p50 {row['p50_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms, max {row['max_ms']:.0f} ms "
         f"({row['rounds']} rounds)")
    note(f"64-byte UDP with the agent / without: {result['udp']['ratio']:.3f} "
         f"({result['udp']['turns']} turns, {result['udp']['low']:.3f}-{result['udp']['high']:.3f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--seconds", type=int, default=30, help="length of the idle and of the flow phase")
    parser.add_argument("--rounds", type=int, default=100, help="samples of the latency")
    parser.add_argument("--turns", type=int, default=7, help="starts of the agent in the UDP comparison, or of each kind with --ring")
    parser.add_argument("--ring", action="store_true", help="compare the packet ring off and on, and nothing else")
    arguments = parser.parse_args()
    if arguments.ring:
        with Rig("agent-ring") as rig:
            rig.start_collector()
            rows = ring_costs(rig, arguments.seconds, arguments.turns)
        print_ring(rows)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
        return
    stats_before = STATS.read_text()
    result = {"machine": f"{os.cpu_count()} cores, virtual, Linux {os.uname().release.split('-')[0]}"}
    with Rig("agent-bench") as rig:
        echo = Echo()
        rig.start_collector()
        rig.start_agent()
        time.sleep(5)  # the agent's first sweep and hashes are not its idle cost
        result["idle"] = measured(rig, arguments.seconds)
        result["latency"] = latency(rig, echo, arguments.rounds)
        rate = []
        result["flows"] = measured(rig, 0, lambda: rate.append(connect_load(echo.port, 1000, arguments.seconds)))
        result["flows"]["per_second"] = rate[0]
        try:
            STATS.write_text("1")
            with EmptyProgram(rig.dir) as empty:
                result["kernel"] = kernel_costs(rig, echo, empty)
        finally:
            STATS.write_text(stats_before)
        rig.agent.stop()
        result["udp"] = udp_ratios(rig, arguments.turns)
    print_table(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
