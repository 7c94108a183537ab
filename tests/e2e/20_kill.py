#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kill -9 of agent or collector at random instants under load: 20_kill.py [ROUNDS [SEED]], 20 rounds by default.

After every kill of the collector the journal on its disk holds all that the agent was told is durable. At the end every
frame of the agent's stream is there exactly once, in order and chained, the spool went on, and every connection that
ended while an agent was at work is in the index exactly once with the bytes that the program counted."""
import random
import sys
import time

import campaign
from harness import Rig, check, note, wait_until


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    chance = random.Random(seed)
    note(f"{rounds} rounds, seed {seed}")
    with Rig("kill") as rig:
        run = campaign.Campaign(rig)
        run.start()
        for number in range(1, rounds + 1):
            time.sleep(chance.uniform(0.2, 2.2))
            if chance.random() < 0.5:
                run.kill_collector()
                time.sleep(chance.choice([0, 0, 0.3, 1.0]))
                run.restart_collector()
            else:
                run.kill_agent()
                time.sleep(chance.choice([0, 0, 0.3]))
                run.restart_agent()
            if number % 20 == 0 or number == rounds:
                note(f"round {number}: {run.summary()}")
        run.finish()
        check(run.kills["agent"] + run.kills["collector"] == rounds, "rounds lost")
        wait_until("nothing left running", lambda: not run.leftovers(), 10)


if __name__ == "__main__":
    main()
