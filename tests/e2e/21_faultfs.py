#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 under load, and the file system forgets what was not synced: 21_faultfs.py [ROUNDS [SEED]], 6 by default.

Journal and spool lie on tests/support/faultfs. After a kill of the collector the journal still holds all that the agent was
told is durable. A kill of the agent may cost what its spool had not synced (it syncs once a second): the last frames, which shows
as a new stream, or some between others that were kept, which the agent declares as lost."""
import os
import random
import sys
import time

import clog
from campaign import SETTLE, Campaign
from harness import BIN, Rig, check, note, run, wait_until


class FaultFs:
    def __init__(self, rig, name, mount, seed):
        self.mount = mount
        backing = rig.dir / f"backing-{name}"
        backing.mkdir(mode=0o700)
        mount.mkdir(mode=0o700, parents=True)
        rig.cleanups.append(lambda: run("umount", "-l", mount, check=False))
        self.daemon = rig.spawn(BIN / "culprit_faultfs", "--backing", backing, "--mount", mount, "--foreground",
                                "--keep-some", seed, log=f"faultfs-{name}.log")
        wait_until("faultfs mounted", lambda: os.path.ismount(mount))

    def drop(self):
        """A power cut, as far as files are concerned. Nobody may have them open."""
        (self.mount / ".faultfs-control").write_text("drop")


class FaultCampaign(Campaign):
    worst_lag = 0.0  # seconds from the last frame that was kept to the kill of its agent

    def start_collector(self):
        self.rig.make_certificates()
        seed = self.seed
        self.under_journal = FaultFs(self.rig, "journal", self.journal, seed)
        self.under_spool = FaultFs(self.rig, "spool", self.spool, seed + 1)
        super().start_collector()

    def kill_collector(self):
        self.rig.collector.kill()
        self.kills["collector"] += 1
        self.under_journal.drop()
        self.check_durable("after a kill of the collector with unsynced writes lost")

    def kill_agent(self):
        super().kill_agent()
        wait_until("sender gone", lambda: not self.leftovers(), 10)
        self.under_spool.drop()
        self.at_work[-1][1] = min(self.at_work[-1][1], self.kept_until() - SETTLE)
        self.before = None  # the hint may be a second old

    def read_spool(self, problems):
        """Damage stays in its file until the frames behind it are acknowledged; the agent has declared it."""
        return super().read_spool([])

    def kept_until(self):
        """When the last frame of evidence was made that is kept with all before it since this agent began: the row of a short
        connection is in one of those. The agent syncs once a second; on a busy machine a sync may take longer, and what it had
        not reached may be gone."""
        ignored = []
        kept = [frame for _, frame in clog.read_journal(self.journal, ignored)] + clog.read_spool(self.spool, ignored)[0]
        run = sorted({(f.seq, f.wall_ns / 1e9) for f in kept if f.lane == 0 and f.wall_ns / 1e9 >= self.at_work[-1][0]})
        until = self.at_work[-1][0]
        for (seq, wall), before in zip(run, [None, *run]):
            if before and seq != before[0] + 1:
                break
            until = wall
        self.worst_lag = max(self.worst_lag, self.at_work[-1][1] + SETTLE - until)
        return until

    def summary(self):
        return f"{super().summary()}; kept frames ended at most {self.worst_lag:.1f} s before a kill"

    def check_holes(self, holes, when):
        missing = sum(last - first + 1 for _, first, last in holes)
        check(self.declared is None or missing <= self.declared,
              f"{when}: {missing} frames missing, {self.declared} declared lost: {holes}")
        if self.declared is not None:
            note(f"{missing} frames missing between others, {self.declared} declared lost by the agent")


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    chance = random.Random(seed)
    note(f"{rounds} rounds, seed {seed}")
    with Rig("faultfs") as rig:
        campaign = FaultCampaign(rig)
        campaign.seed = seed
        campaign.start()
        for number in range(1, rounds + 1):
            time.sleep(chance.uniform(0.5, 3.0))
            if number % 2:
                campaign.kill_collector()
                campaign.restart_collector()
            else:
                campaign.kill_agent()
                campaign.restart_agent()
            if number % 20 == 0 or number == rounds:
                note(f"round {number}: {campaign.summary()}")
        campaign.finish(streams=None)


if __name__ == "__main__":
    main()
