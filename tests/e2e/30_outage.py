#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The collector is away under load: the agent's memory stays bounded, its spool fills to the cap and not past it, the bulk
lane is shed before the evidence lane, and what was shed is declared later, in a chain that verifies."""
import sys
import time

import clog
from campaign import Campaign
from harness import BIN, Rig, check, note, run, wait_until

# Frames that the collector kept and had no time to acknowledge before it was killed: the agent can only call them lost, too.
UNACKNOWLEDGED = 32
CAP = 1 << 20
SEGMENT = 64 << 10
GROWTH = 48 << 20


def memory(status):
    return sum(process["rss_bytes"] for process in status["processes"])


def spool_bytes(directory):
    return sum(p.stat().st_size for p in directory.glob("*.clog"))


class Watch:
    """What the spool and the agent looked like while the collector was away."""

    def __init__(self, campaign):
        self.campaign = campaign
        self.peak_memory = self.peak_spool = 0
        self.first_shed = None

    def look(self):
        status = self.campaign.rig.agent_status()
        self.peak_memory = max(self.peak_memory, memory(status))
        self.peak_spool = max(self.peak_spool, spool_bytes(self.campaign.spool))
        lanes = {name: list(self.campaign.spool.glob(f"{name}-*.clog")) for name in clog.LANES}
        shed = [name for name, lane in status["spool"]["lanes"].items() if lane["oldest_seq"] > lane["acked_seq"] + 1]
        if shed and self.first_shed is None:
            self.first_shed = shed
        if "evidence" in shed:
            # The open segment, one that was closed since the last shedding, and one that is being removed; else it is 8.
            check(len(lanes["bulk"]) <= 3, f"evidence was shed while bulk held {len(lanes['bulk'])} segments")
        return shed


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    with Rig("outage") as rig:
        rig.agent_extra = f"[spool]\nmax_bytes = {CAP}\nsegment_bytes = {SEGMENT}\n"
        # Enough long-lived flows that their interval updates fill more than the open segment of the bulk lane.
        campaign = Campaign(rig, rate=150, open_count=800)
        campaign.start()
        wait_until("first acknowledgements", lambda: campaign.acked() and campaign.acked()[1].get(0, 0) > 3)
        before = memory(rig.agent_status())
        rig.collector.stop()
        note("collector away")
        watch = Watch(campaign)
        wait_until("both lanes shed", lambda: set(watch.look()) >= {"evidence"}, 240, 0.5)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            watch.look()
            time.sleep(0.5)
        note(f"shed first: {watch.first_shed}; spool at most {watch.peak_spool >> 10} KiB of {CAP >> 10}; agent's memory "
             f"{before >> 20} MiB before, {watch.peak_memory >> 20} MiB at most")
        check(watch.first_shed == ["bulk"] or "bulk" in watch.first_shed, f"first shed: {watch.first_shed}")
        check(watch.peak_spool <= CAP + SEGMENT, f"the spool grew to {watch.peak_spool} bytes")
        check(watch.peak_memory - before < GROWTH, f"the agent grew by {(watch.peak_memory - before) >> 20} MiB")
        campaign.load.stop(10)
        campaign.restart_collector()
        wait_until("spool drained", campaign.drained, 60, 0.5)
        wait_until("losses at the collector", lambda: rig.host()["lost_frames"] > 0, 30, 0.5)
        account(campaign)


def account(campaign):
    rig = campaign.rig
    rig.agent.stop()
    wait_until("index caught up", campaign.index_caught_up, 30, 0.3)
    declared, gaps = rig.host()["lost_frames"], rig.host()["gaps"]
    rig.collector.stop()
    problems = []
    _, holes = clog.check_streams(clog.read_journal(campaign.journal, problems), problems)
    check(not problems, f"{problems[:5]}")
    missing = sum(last - first + 1 for _, first, last in holes)
    note(f"{missing} frames missing in {len(holes)} holes, {declared} declared lost by the agent, {gaps} gaps at the collector")
    check(holes and missing <= declared <= missing + UNACKNOWLEDGED, f"declared {declared}, missing {missing}")
    run(BIN / "culprit-collector", "verify", "--config", rig.dir / "collector.toml")


if __name__ == "__main__":
    main()
