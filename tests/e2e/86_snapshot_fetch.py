#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`culprit snapshot`: taken by the collector, streamed while it is collected. 86_snapshot_fetch.py [ROUNDS [SEED]], 6 rounds by default.

Link, sensor, sender or collector are broken at random positions of the bytes on their way: the bundle at the collector is the one that the agent wrote.
A bound on the bandwidth holds. A full disk at the collector is told and survived; a host that is gone for good leaves tiers that verify and read; a bundle that was edited, reordered or
cut on the host is refused or called partial; a finding takes one by itself. All of it in namespaces of its own: nothing of the machine is read."""
import contextlib
import hashlib
import io
import json
import os
import pathlib
import pty
import random
import re
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time

import harness
from harness import Rig, check, note, run, wait_until
from snapshot_box import private_file, run_in_box

NOISE = 2  # files of 4 MiB, which no compressor shrinks
MEMORY = 128 << 20
PACE = 16 << 20


class Link:
    """The network between agent and collector: passes bytes on, and after a given number of them from the agent does what was asked for."""

    def __init__(self, to_port):
        self.to_port, self.lock, self.left, self.action, self.pairs = to_port, threading.Lock(), None, None, set()
        self.flowing = threading.Event()  # bytes of the agent are held back while it is not set
        self.flowing.set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def arm(self, count, action):
        with self.lock:
            self.left, self.action = count, action

    def cut(self):
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.to_port), 5)
            except OSError:
                near.close()
                continue
            pair = (near, far)
            with self.lock:
                self.pairs.add(pair)
            threading.Thread(target=self.pump, args=(near, far, pair, True), daemon=True).start()
            threading.Thread(target=self.pump, args=(far, near, pair, False), daemon=True).start()

    def pump(self, source, target, pair, upwards):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                action = None
                if upwards:
                    self.flowing.wait()
                    with self.lock:
                        if self.left is not None:
                            if len(data) >= self.left:
                                data, action = data[:self.left], self.action
                                self.left = self.action = None
                            else:
                                self.left -= len(data)
                target.sendall(data)
                if action:
                    action()
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self.lock:
            self.pairs.discard(pair)


class SnapshotRig(Rig):
    """One whose agent dials the link, in the box."""
    takes_snapshots = True

    def __init__(self, name):
        super().__init__(name)
        self.link = Link(self.port)

    def __enter__(self):
        super().__enter__()
        self.kept = self.dir / "kept"
        self.kept.mkdir()
        self.agent_extra = "[sender]\nuser = \"bin\"\n[logins]\njournal = false\n"
        self.set_collector()
        return self

    def set_collector(self, **settings):
        wanted = {"on_finding": '"off"', "min_free": "0"} | settings
        self.collector_extra = "[snapshot]\n" + "".join(f"{key} = {value}\n" for key, value in wanted.items())

    def write_agent_config(self):
        port, self.port = self.port, self.link.port
        try:
            return super().write_agent_config()
        finally:
            self.port = port

    @property
    def spool(self):
        return self.dir / "agent/snapshot-spool"

    def snapshot(self, *arguments, check_exit=True):
        done = run(*self.command(*arguments), stderr=subprocess.PIPE, check=False)
        check(done.returncode == 0 or not check_exit, f"culprit snapshot {' '.join(map(str, arguments))}: {done.returncode}: {done.stderr}")
        return done

    def command(self, *arguments):
        return [str(a) for a in (harness.BIN / "culprit", "snapshot", *arguments, "--collector", f"127.0.0.1:{self.port}", "--credentials", self.pki)]

    def records(self):
        done = self.snapshot("list", "--json", check_exit=False)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def record(self, snapshot_id):
        return next(row for row in self.records() if row["id"] == snapshot_id)

    def begin(self, *arguments):
        return json.loads(self.snapshot("take", "--json", *arguments).stdout)["id"]

    def await_agent(self):
        wait_until("the agent again", lambda: self.status()["agents_connected"] == 1, 30)

    def hold(self, snapshot_id):
        """A second name for what the agent writes, so that it can be compared once the agent has dropped it."""
        name = self.kept / f"{snapshot_id}.tar.zst"

        def linked():
            with contextlib.suppress(FileNotFoundError):
                os.link(self.spool / f"{snapshot_id}.bundle", name)
            return name.exists()
        wait_until("the agent's bundle", linked, 20, 0.005)
        return name

    def final(self, snapshot_id, seconds=60):
        def over():
            record = self.record(snapshot_id)
            return record if record["state"] in ("complete", "partial", "refused", "failed") else None
        return wait_until(f"the end of {snapshot_id}", over, seconds, 0.1)

    def stored(self, record):
        return self.dir / "collector/snapshots" / f"{record['sha256']}.tar.zst"


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def peak(pid):
    return int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) << 10


def check_take(rig):
    """The plain way, and every command that reads."""
    done = rig.snapshot("take", "--wait", "--json", "--case", "case-9")
    record = json.loads(done.stdout)
    check(done.stderr == "", f"on no terminal: {done.stderr!r}")
    check(record["state"] == "complete" and record["whole_tiers"] == [0, 1, 2] and record["key_known"], f"{record}")
    bundle = rig.dir / "saved.tar.zst"
    saved = json.loads(rig.snapshot("save", record["id"][:8], "--out", bundle, "--json").stdout)
    check(saved["sha256"] == record["sha256"] == sha256(bundle) == sha256(rig.stored(record)), "other bytes than were stored")
    verdict = json.loads(run(harness.BIN / "culprit", "verify", bundle, "--key", record["key_fingerprint"], "--json").stdout)
    check(verdict["good"] and verdict["trusted"] and verdict["snapshot"] == record["id"] and verdict["case"] == "case-9", f"{verdict}")
    check([row["id"] for row in rig.records() if row["state"] != "removed"] == [record["id"]], f"list: {rig.records()}")
    members = [json.loads(line) for line in rig.snapshot("ls", record["id"], "--json").stdout.splitlines()]
    passwd = next(m for m in members if m["name"] == "[root]/etc/passwd")
    text = rig.snapshot("cat", record["id"], "/etc/passwd").stdout
    check(text == pathlib.Path("/etc/passwd").read_text() and passwd["sha256"] == hashlib.sha256(text.encode()).hexdigest(), "cat")
    unpacked = rig.dir / "unpacked"
    rig.snapshot("extract", record["id"], "/etc", "--to", unpacked)
    check((unpacked / "[root]/etc/passwd").read_text() == text and not (unpacked / "live").exists(), "extract")
    timeline = [json.loads(line) for line in rig.snapshot("timeline", record["id"], "--json").stdout.splitlines()]
    check(timeline == sorted(timeline, key=lambda row: row["time"]) and {"process", "born", "snapshot"} <= {row["kind"] for row in timeline}, "timeline")
    shown = json.loads(rig.snapshot("show", record["id"], "--json").stdout)
    check(shown["summary"]["processes"] > 3, f"{shown['summary']}")
    actions = [entry["action"] for entry in shown["snapshot"]["custody"]]
    check(actions[:3] == ["asked", "received", "verified"] and actions[3:].count("read") >= 4, f"custody: {actions}")
    own = {process["name"]: peak(process["pid"]) for process in rig.agent_status()["processes"]} | {"collecting": int(record["peak_rss_bytes"])}
    check(all(size <= MEMORY for size in own.values()), f"memory: {own}")
    check(not list(rig.spool.glob("*.bundle")), "the agent keeps what the collector has")
    note(f"{int(record['stored_bytes']) >> 20} MiB, {record['members']} members; memory {({name: size >> 20 for name, size in own.items()})} MiB")
    return record


def take_on_a_terminal(rig):
    """On a terminal, and nowhere else, stderr shows how far it is."""
    terminal, theirs = pty.openpty()
    done = subprocess.run(rig.command("take", "--wait", "--json"), stdout=subprocess.PIPE, stderr=theirs, text=True, check=True)
    os.close(theirs)
    shown = os.read(terminal, 65536).decode(errors="replace")
    os.close(terminal)
    check(re.search(r"\r.*\[[#.]{24}\] .* so far", shown), f"on a terminal: {shown!r}")
    return json.loads(done.stdout)


def check_pace(rig):
    """A bound on the bytes a second holds: a lower limit of the time alone, so that no busy machine fails it."""
    rig.agent.stop(20)
    plain, rig.agent_extra = rig.agent_extra, rig.agent_extra.replace("[sender]", f'bytes_per_second = {PACE}\n[sender]')
    rig.start_agent()
    rig.await_agent()
    began = time.monotonic()
    record = json.loads(rig.snapshot("take", "--wait", "--json").stdout)
    took, least = time.monotonic() - began, int(record["stored_bytes"]) / PACE
    check(record["state"] == "complete" and took >= 0.95 * least, f"{record['stored_bytes']} bytes in {took:.1f} s, the bound says {least:.1f} s at least")
    note(f"bytes_per_second = {PACE}: {least:.1f} s at least, {took:.1f} s it took")
    rig.snapshot("remove", record["id"])
    rig.agent.stop(20)
    rig.agent_extra = plain
    rig.start_agent()
    rig.await_agent()


def check_differences(rig, before):
    private_file("/etc/cron.d/update", "* * * * * root /tmp/.x/kworker\n")
    listener = socket.create_server(("127.0.0.1", 4445))
    after = take_on_a_terminal(rig)
    rows = [json.loads(line) for line in rig.snapshot("diff", before["id"], after["id"], "--json").stdout.splitlines()]
    found = {(row["change"], row["table"], row["what"]) for row in rows}
    for wanted in (("added", "file", "/etc/cron.d/update"), ("added", "listener", "tcp 127.0.0.1 port 4445")):
        check(wanted in found, f"diff: {wanted} is not in {sorted(found)}")
    listener.close()
    removed = json.loads(rig.snapshot("remove", after["id"], "--json").stdout)
    check(removed["state"] == "removed" and not rig.stored(after).exists(), f"{removed}")
    check(rig.snapshot("cat", after["id"], "/etc/passwd", check_exit=False).returncode == 1, "what was removed is read")
    note(f"diff: {len(rows)} differences, what was planted among them; remove")


def kill_sender(rig):
    pid = next(p["pid"] for p in rig.agent_status()["processes"] if p["name"] == "sender")
    os.kill(pid, signal.SIGKILL)


def break_at(rig, what, position, done):
    """The action for the link: `what` breaks, and comes back."""
    def broken():
        if what == "link":
            rig.link.cut()
        elif what == "sender":
            kill_sender(rig)
        elif what == "sensor":
            rig.agent.kill()
            rig.start_agent(wait=False)
        else:
            rig.collector.kill()
            rig.start_collector()
        done.set()
    rig.link.arm(position, broken)


def check_breaks(rig, rounds, seed, size):
    chance = random.Random(seed)
    kinds = ("link", "sensor", "collector", "sender", "link", "sensor")
    resumed = 0
    for number in range(rounds):
        what, position, done = kinds[number % len(kinds)], chance.randrange(1, size * 4 // 5), threading.Event()
        break_at(rig, what, position, done)
        snapshot_id = rig.begin()
        written = rig.hold(snapshot_id)
        check(done.wait(60), f"round {number}: position {position} was not reached")
        record = rig.final(snapshot_id)
        check(record["state"] == "complete", f"round {number}, {what} at {position}: {record['state']}: {record['problem']}")
        check(record["sha256"] == sha256(written) == sha256(rig.stored(record)), f"round {number}, {what} at {position}: another hash")
        resumed += record["resumed"]
        rig.snapshot("remove", snapshot_id)
        written.unlink()
        rig.await_agent()
    check(resumed >= rounds // 3, f"only {resumed} transfers went on after a break")
    note(f"{rounds} breaks at random positions, seed {seed}: the same hash each time, {resumed} in mid-transfer")


def check_full_disk(rig):
    place = rig.dir / "collector/snapshots"
    rig.collector.stop()
    run("mount", "-t", "tmpfs", "-o", "size=8M", "none", place)
    rig.cleanups.append(lambda: run("umount", "-l", place))
    rig.start_collector()
    rig.await_agent()
    done = rig.snapshot("take", "--wait", "--json", check_exit=False)
    check(done.returncode == 1 and "cannot store it" in done.stderr and "disk" in done.stderr, f"{done.returncode}: {done.stderr}")
    snapshot_id = rig.records()[0]["id"]
    written = rig.hold(snapshot_id)
    record = rig.record(snapshot_id)
    check(record["state"] == "waiting" and "No space left" in record["problem"], f"{record}")
    run("mount", "-o", "remount,size=200M", place)
    record = rig.final(snapshot_id)
    check(record["state"] == "complete" and record["sha256"] == sha256(written), f"{record}")
    note("a full disk at the collector: told, and the rest came once there was room")


def repack(bundle, change):
    """The bundle with its members changed, as somebody with the host's tools would do it."""
    with tempfile.TemporaryDirectory() as scratch:
        plain, changed = pathlib.Path(scratch, "a.tar"), pathlib.Path(scratch, "b.tar")
        run("zstd", "-qd", bundle, "-o", plain)
        with tarfile.open(plain) as source, tarfile.open(changed, "w", format=tarfile.PAX_FORMAT) as target:
            members = [(member, source.extractfile(member).read()) for member in source]
            for member, content in change(members):
                member.size = len(content)
                target.addfile(member, io.BytesIO(content))
        run("zstd", "-q", changed, "-o", f"{changed}.zst")
        return pathlib.Path(f"{changed}.zst").read_bytes()


def edited(members):
    return [(m, c.replace(b"culprit-agent", b"kworker/u8:21") if m.name == "live/processes.jsonl" else c) for m, c in members]


def reordered(members):
    return [members[1], members[0], *members[2:]]


def check_forgeries(rig):
    """Root of the host changes what waits there: it is stored, and not called good."""
    for what, forge, state in (("edited", lambda b: repack(b, edited), "refused"), ("reordered", lambda b: repack(b, reordered), "refused"),
                               ("truncated", lambda b: b.read_bytes()[:-1000], "partial")):
        rig.link.flowing.clear()
        snapshot_id = rig.begin("--tier", "0")
        bundle, end = rig.spool / f"{snapshot_id}.bundle", rig.spool / f"{snapshot_id}.end"
        wait_until("the bundle in the agent's spool", end.exists, 20)
        forged = forge(bundle)
        told = json.loads(end.read_text()) | {"bytes": len(forged), "sha256": hashlib.sha256(forged).hexdigest()}
        bundle.write_bytes(forged)
        end.write_text(json.dumps(told))
        rig.link.cut()
        rig.link.flowing.set()
        record = rig.final(snapshot_id)
        check(record["state"] == state and record["defects"] and any(d.startswith(what) for d in record["defects"]), f"{what}: {record}")
    note("edited and reordered on the host: refused; truncated: partial; each with its defect")


def check_gone_for_good(rig):
    rig.set_collector(give_up='"2s"')
    rig.collector.stop()
    rig.start_collector()
    rig.await_agent()
    gone = threading.Event()

    def end():
        rig.agent.kill()
        gone.set()
    rig.link.arm(8 << 20, end)
    snapshot_id = rig.begin()
    check(gone.wait(30), "it was over before")
    record = rig.final(snapshot_id, 30)
    check(record["state"] == "partial" and record["whole_tiers"] == [0] and record["problem"], f"{record}")
    processes = rig.snapshot("cat", snapshot_id, "live/processes.jsonl").stdout.splitlines()
    check(len(processes) > 3 and all(json.loads(line)["pid"] for line in processes), "processes of tier 0")
    check("not whole" in rig.snapshot("ls", snapshot_id).stderr, "ls does not say that it is cut")
    refusal = rig.snapshot("take", "--wait", check_exit=False)
    check(refusal.returncode == 1 and "not connected" in refusal.stderr, f"{refusal.returncode}: {refusal.stderr}")
    note(f"host gone in mid-transfer: tier 0 verifies and reads ({len(processes)} processes); a silent agent is refused")


def check_trigger(rig):
    rig.set_collector(on_finding='"high"', finding_interval='"1s"')
    rig.collector.stop()
    rig.start_collector()
    rig.start_agent()
    rig.await_agent()
    before = len(rig.records())
    _, far = rig.far_end()
    for port in range(2000, 2100):
        with socket.socket() as client, contextlib.suppress(OSError):
            client.connect((far.v4, port))

    def taken():
        rows = rig.records()
        return rows[0] if len(rows) > before and rows[0]["state"] == "complete" else None
    record = wait_until("a snapshot at the finding", taken, 60, 0.3)
    check(record["trigger"].startswith("finding ") and record["last_tier"] == 1 and record["whole_tiers"] == [0, 1], f"{record}")
    findings = rig.query("findings")
    check(any(finding["id"] in record["trigger"] for finding in findings), f"{record['trigger']} names none of {findings}")
    note(f"{record['trigger']}: tiers 0 and 1, by itself")


def scene(rounds=6, seed=None):
    rounds, seed = int(rounds), int(seed or time.time())
    for number in range(NOISE):
        pathlib.Path(f"/tmp/noise-{number}").write_bytes(os.urandom(4 << 20))
    with SnapshotRig("snapshot-fetch") as rig:
        rig.start_collector()
        rig.start_agent()
        wait_until("the host in the index", lambda: rig.snapshot("take", "--tier", "0", "--wait", "--json", check_exit=False).returncode == 0)
        rig.snapshot("remove", rig.records()[0]["id"])
        began = time.monotonic()
        first = check_take(rig)
        if rounds <= 6:
            check_differences(rig, first)
            check_pace(rig)
        check_breaks(rig, rounds, seed, int(first["stored_bytes"]))
        if rounds <= 6:
            check_full_disk(rig)
            check_forgeries(rig)
            check_gone_for_good(rig)
            check_trigger(rig)
        note(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    run_in_box("e2e-snapshot", scene)
