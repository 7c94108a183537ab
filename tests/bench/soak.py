#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A long day: soak.py [MINUTES] [--every SECONDS] [--json FILE], 30 minutes by default.

Under a load of short connections whose truth is written down, and of processes that come and go, agent and collector are killed and
stopped, and each one's disk (a small file system of its own) fills up, in turns; twice, one life each is left alone and watched. Printed
are memory, descriptors and threads of both along the way, and what became of the evidence. Fails if a frame that was acknowledged is not
in the journal exactly once, in order and chained; if a connection that was made while an agent was at work and could write is not in the
index exactly once with its bytes; if a daemon grows in a life that is left alone; if the last one of each has more descriptors (and the agent
clearly more memory) than the first. Root; everything in namespaces and directories of its own."""
import argparse
import json
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from campaign import SETTLE, Campaign  # noqa: E402
from harness import Rig, check, descendants, note, run, wait_until  # noqa: E402

RATE, OPEN, LIVES = 60, 20, 40  # connections a second, open ones, processes a second
AGENT_DISK, COLLECTOR_DISK = 64, 1024  # MB
FULL = 8  # seconds of a full disk
GROWTH, SLACK, FD_SLACK = 1.25, 12e6, 8
CLOSED = 7399


def figures(pid):
    """Memory, descriptors and threads of a daemon and its children."""
    total = {"rss": 0, "pss": 0, "fds": 0, "threads": 0}
    for one in [pid, *descendants(pid)]:
        try:
            for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Rss:", "Pss:")):
                    total[line[:3].lower()] += int(line.split()[1]) * 1024
            total["fds"] += len(os.listdir(f"/proc/{one}/fd"))
            total["threads"] += len(os.listdir(f"/proc/{one}/task"))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


class Soak(Campaign):
    def __init__(self, rig, disk):
        super().__init__(rig, rate=RATE, open_count=OPEN, collector_data=disk / "data")
        self.disk = disk
        self.began = time.monotonic()
        self.samples = []
        self.counts = {}
        self.life = {"agent": 0, "collector": 0}

    def daemons(self):
        return (("agent", self.rig.agent), ("collector", self.rig.collector))

    def sample(self, event=""):
        for name, daemon in self.daemons():
            if daemon.alive():
                self.samples.append({"daemon": name, "life": self.life[name], "seconds": time.monotonic() - self.began, "event": event,
                                     **figures(daemon.pid)})

    def watch(self, seconds, event=""):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for name, daemon in self.daemons():
                check(daemon.alive(), f"the {name} ended by itself:\n{daemon.tail()}")
            self.sample(event)
            time.sleep(min(3.0, max(0.1, until - time.monotonic())))

    def writable(self, is_it):
        """Whether what happens now can be expected in the index."""
        if is_it:
            self.at_work.append([time.time() + 1.0, None])
        else:
            self.at_work[-1][1] = time.time() - SETTLE

    # --- what happens, in this order, again and again ---------------------------------------------------------------------
    def agent_killed(self):
        self.kill_agent()
        self.life["agent"] += 1
        self.restart_agent()

    def agent_stopped(self):
        self.before = None
        self.writable(False)
        self.rig.agent.stop(30)
        self.life["agent"] += 1
        self.restart_agent()

    def collector_killed(self):
        self.kill_collector()
        self.life["collector"] += 1
        time.sleep(1)
        self.restart_collector()

    def collector_stopped(self):
        self.stop_collector()
        self.check_durable("after an orderly stop")
        self.life["collector"] += 1
        time.sleep(2)
        self.restart_collector()

    def full(self, place, name):
        fill = place / "fill"
        with open(fill, "wb") as file:
            size, part = 0, 1 << 30
            while part >= 4096:  # others write, too
                try:
                    os.posix_fallocate(file.fileno(), size, part)
                    size += part
                except OSError:
                    part //= 2
        try:
            self.watch(FULL, f"{name}'s disk is full")
        finally:
            fill.unlink()

    def agent_disk_full(self):
        self.writable(False)
        self.full(pathlib.Path(self.rig.agent_state).parent, "agent")
        self.writable(True)

    def collector_disk_full(self):
        self.full(self.disk, "collector")
        wait_until("the spool drains again", self.nearly_drained, 60, 0.5)

    def nearly_drained(self):
        lanes = self.rig.agent_status()["spool"]["lanes"]
        return all(lane["newest_seq"] - lane["acked_seq"] < 50 for lane in lanes.values())

    def storms(self, minutes, every):
        acts = (self.collector_disk_full, self.agent_killed, self.collector_stopped, self.agent_disk_full, self.collector_killed,
                self.agent_stopped)
        until, n = time.monotonic() + minutes * 60, 0
        while time.monotonic() < until:
            act = acts[n % len(acts)]
            name = act.__name__.replace("_", " ")
            self.counts[name] = self.counts.get(name, 0) + 1
            act()
            self.watch(every, name)
            n += 1

    def verdict(self):
        """An undisturbed life: its last third beside its middle one. Lives: the last beside the first."""
        for name, _ in self.daemons():
            mine = [s for s in self.samples if s["daemon"] == name]
            quiet = [s for s in mine if s["event"] == "left alone" and s["life"] == mine[-1]["life"]]
            third = max(1, len(quiet) // 3)
            self.flat(name, "left alone", quiet[third:2 * third] or quiet, quiet[-third:])
            first = [s for s in mine if s["event"] == "at first"]
            # The collector knows more processes and flows by then: its memory is judged within a life.
            self.flat(name, "first and last life", first[len(first) // 2:], quiet[-third:], memory=name == "agent")

    def flat(self, name, what, before, after, memory=True):
        def mean(samples, key):
            return sum(s[key] for s in samples) / max(1, len(samples))
        if not before or not after:
            return
        note(f"{name:10} {what:20} PSS {mean(before, 'pss') / 1e6:6.1f} -> {mean(after, 'pss') / 1e6:6.1f} MB   "
             f"fds {mean(before, 'fds'):5.1f} -> {mean(after, 'fds'):5.1f}   threads {mean(before, 'threads'):5.1f} -> {mean(after, 'threads'):5.1f}")
        check(not memory or mean(after, "pss") <= mean(before, "pss") * GROWTH + SLACK, f"{name}, {what}: memory grows")
        check(mean(after, "fds") <= mean(before, "fds") + FD_SLACK, f"{name}, {what}: descriptors leak")
        check(mean(after, "threads") <= mean(before, "threads") + FD_SLACK, f"{name}, {what}: threads leak")


def small_disk(rig, name, megabytes):
    place = rig.dir / name
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", place)
    rig.cleanups.append(lambda: run("umount", "-l", place))
    return place


def table(samples):
    note(f"{'seconds':>8}  {'':10}{'life':>5}{'PSS MB':>9}{'RSS MB':>9}{'fds':>6}{'threads':>9}  event")
    last = {}
    for s in samples:
        if last.get(s["daemon"]) != (s["life"], s["event"]):
            note(f"{s['seconds']:8.0f}  {s['daemon']:10}{s['life']:5}{s['pss'] / 1e6:9.1f}{s['rss'] / 1e6:9.1f}{s['fds']:6}{s['threads']:9}  {s['event']}")
        last[s["daemon"]] = (s["life"], s["event"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float, nargs="?", default=30)
    parser.add_argument("--every", type=float, help="seconds between two events; a fiftieth of the whole, 5 at least")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    every = arguments.every or max(5.0, arguments.minutes * 60 / 50)
    alone = max(15.0, arguments.minutes * 60 / 6)
    with Rig("soak") as rig:
        rig.agent_state = str(small_disk(rig, "agent-disk", AGENT_DISK) / "state")
        rig.agent_extra = "[spool]\nmax_bytes = 33554432\nsegment_bytes = 1048576\n"
        soak = Soak(rig, small_disk(rig, "collector-disk", COLLECTOR_DISK))
        soak.spool = pathlib.Path(rig.agent_state) / "spool"
        program = rig.compile("churn", "-static")
        soak.start()
        rig.spawn(*soak.a.command(program, int(LIVES * (arguments.minutes * 60 + 600)), LIVES, "127.0.0.1", 0, CLOSED), log="churn.log")
        soak.watch(alone, "at first")
        soak.storms(max(0.1, arguments.minutes - 2 * alone / 60), every)
        soak.watch(alone, "left alone")
        table(soak.samples)
        note(", ".join(f"{count}x {name}" for name, count in soak.counts.items()))
        soak.finish(streams=1)
        note(f"frames that the agent declared as lost (it had no room to write them): {soak.declared}")
        soak.verdict()
        if arguments.json:
            arguments.json.write_text(json.dumps({"minutes": arguments.minutes, "events": soak.counts, "declared_lost_frames": soak.declared,
                                                  "samples": soak.samples}) + "\n")


if __name__ == "__main__":
    main()
