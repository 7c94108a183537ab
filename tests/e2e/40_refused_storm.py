#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""20,000 refused connects a second on loopback for 10 s: no crash, bounded memory, exact counters for each process."""
import json
import subprocess
import sys
import time

from harness import Rig, check, descendants, note, wait_until

MEMORY_GROWTH = 64 << 20


def resident(pid):
    total = 0
    for one in [pid, *descendants(pid)]:
        try:
            with open(f"/proc/{one}/status", encoding="ascii", errors="replace") as status:
                total += sum(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
        except FileNotFoundError:
            pass
    return total


def main():
    rate, seconds = 10000, int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with Rig("storm") as rig:
        storm = rig.compile("storm")
        a, _ = rig.namespaces()
        rig.start_collector()
        rig.start_agent()
        idle = resident(rig.agent.pid)
        runs = [subprocess.Popen(a.command(storm, "127.0.0.1", 9, rate, seconds), stdout=subprocess.PIPE, text=True)
                for _ in range(2)]
        peak = idle
        while any(r.poll() is None for r in runs):
            peak = max(peak, resident(rig.agent.pid))
            time.sleep(0.2)
        check(rig.agent.alive() and rig.collector.alive(), "a daemon died")
        results = [json.loads(r.communicate()[0]) for r in runs]
        note(f"agent: {idle >> 20} MiB idle, {peak >> 20} MiB at most; "
             f"{sum(r['attempts'] for r in results) / max(r['seconds'] for r in results):.0f} connects/s")
        check(peak - idle < MEMORY_GROWTH, f"memory grew by {(peak - idle) >> 20} MiB")
        for result in results:
            def exact(result=result):
                flow = rig.flows("--pid", result["pid"], "--exe", "storm")[0]
                counters = rig.process(flow["process_id"])["counters"]
                wanted = (result["attempts"], result["refused"], result["ok"])
                got = (counters["tcp_attempts"], counters["refused"], counters["ok"])
                check(got == wanted, f"attempts, refused, ok: {got}, the program counted {wanted}")
                return counters
            counters = wait_until(f"exact counters of pid {result['pid']}", exact, 30, 0.5)
            note(f"pid {result['pid']}: {counters['tcp_attempts']} attempts, {counters['refused']} refused, "
                 f"{counters['suppressed_flows']} counted without a flow of their own")
        host = rig.host()
        note(f"events lost by the agent's own count: {host['lost_events']}, degraded: {host['degraded']}")


if __name__ == "__main__":
    main()
