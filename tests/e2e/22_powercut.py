#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Power cuts of a guest that runs the collector, under load: 22_powercut.py [CUTS [SEED]], 2 by default.

After every cut the disk image holds all that the agent was told is durable; a new guest goes on from there; at the end
every frame is there exactly once and every connection is in the index exactly once."""
import os
import random
import sys
import time

os.environ.setdefault("CULPRIT_PATIENCE", "4")  # the guest is emulated
import guest
from campaign import Campaign
from harness import Daemon, Rig, check, note, wait_until


class GuestCollector:
    """Looks like a Daemon to the rig, which stops it at the end."""

    def __init__(self, machine):
        self.machine = machine
        self.log = machine.rig.dir / "guest.log"

    def alive(self):
        return self.machine.process is not None and self.machine.process.alive()

    def tail(self, lines=25):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, _seconds):
        if self.machine.process is not None:
            self.machine.process.kill()


class PowerCampaign(Campaign):
    def start_collector(self):
        self.rig.make_certificates()
        self.machine = guest.Guest(self.rig)
        self.rig.collector = GuestCollector(self.machine)
        note(f"first boot: {self.machine.boot():.0f} s")

    def cut(self):
        self.machine.cut_power()
        self.kills["collector"] += 1
        self.journal = self.machine.read_disk("/collector") / "journal"
        self.check_durable("after a power cut")
        note(f"cut {self.kills['collector']}: {self.summary()}; next boot: {self.machine.boot():.0f} s")

    def stop_collector(self):
        """Everything is acknowledged by now: one more cut, and what the disk then holds is what counts."""
        self.machine.cut_power()
        self.collector_data = self.machine.read_disk("/collector")
        self.journal = self.collector_data / "journal"
        self.rig.collector = None
        self.rig.write_collector_config(self.collector_data)


def main():
    cuts = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    chance = random.Random(seed)
    note(f"{cuts} power cuts, seed {seed}")
    with Rig("powercut") as rig:
        run = PowerCampaign(rig)
        run.start()
        for _ in range(cuts):
            before = run.acked()
            wait_until("progress since the last boot", lambda: run.acked() not in (None, before), 60)
            time.sleep(chance.uniform(0.5, 5.0))
            run.cut()
        run.finish()
        check(isinstance(run.machine.process, Daemon), "no guest")


if __name__ == "__main__":
    main()
