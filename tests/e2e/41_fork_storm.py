#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A storm of short-lived processes of one user hides nobody: 41_fork_storm.py [PROCESSES [CONNECTED]]

One user starts PROCESSES processes (fork, exec, end), then CONNECTED ones that use the network too, so that every table of
processes and peers is asked for more than that user's share. Then he floods from one more process, and so does another
user. Both have the right name, user, command line, and every packet; what was shed is the storm's own detail, and said."""
import json
import subprocess
import sys

from harness import Rig, check, note, wait_until

SINK, CLOSED, PACKETS = 7301, 7399, 20_000
SHED_RECORDS = 500  # a storm of a test is shorter than those that are worth a word
STORM_USER, OTHER_USER = 65534, 1  # nobody and daemon: every Debian has them


def as_user(uid, *command):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command]


def storm(a, program, count, sink_port):
    done = a.run(*as_user(STORM_USER, program, count, 100_000, "127.0.0.1", sink_port, CLOSED))
    result = json.loads(done.stdout)
    check(result["failed"] == 0, f"the storm itself failed: {result}")
    note(f"storm: {result['processes']} processes in {result['seconds']:.1f} s"
         f"{', each with a datagram and a refused connect' if sink_port else ''}")


def attack(rig, a, program, uid, user):
    process = subprocess.Popen(a.command(*as_user(uid, program, "udp", "127.0.0.1", SINK, 64, PACKETS)),
                               stdout=subprocess.PIPE, text=True)
    result = json.loads(process.communicate()[0])

    def found():
        flows = [f for f in rig.flows("--port", SINK, "--direction", "out", "--exe", "netload") if f["pid"] == result["pid"]]
        check(sum(f["tx_packets"] for f in flows) == result["operations"],
              f"packets in the flow: {[f['tx_packets'] for f in flows]}, sent: {result['operations']}")
        return flows
    flow = wait_until(f"every packet of the attack by {user}", found, 40, 0.5)[0]
    check(flow["tx_payload_bytes"] == result["bytes"], f"payload {flow['tx_payload_bytes']}, sent {result['bytes']}")
    answer = rig.process(flow["process_id"])
    named = answer["process"]
    check((named["user"], named["pid"], named["exe"]) == (user, result["pid"], str(program)),
          f"named: {named['user']} {named['pid']} {named['exe']}")
    check(str(SINK) in named["argv"], f"argv {named['argv']}")
    check(answer["ancestors"] and answer["ancestors"][-1]["pid"] == 1, "ancestry does not reach pid 1")
    note(f"attack by {user}: {result['operations']} packets, {result['bytes']} bytes, all in the flow of {named['exe']}")


def main():
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    connected = int(sys.argv[2]) if len(sys.argv) > 2 else 4000
    with Rig("forkstorm") as rig:
        churn, netload = rig.compile("churn", "-static"), rig.compile("netload", "-static")
        a, _ = rig.namespaces()
        sink = rig.spawn(*a.command(netload, "sink-udp", "127.0.0.1", SINK, 0, 0), log="sink.log")
        wait_until("sink", lambda: "ready" in sink.log.read_text())
        rig.collector_extra = f"[detect.integrity]\nshed_records = {SHED_RECORDS}\n"
        rig.start_collector()
        rig.start_agent()
        storm(a, churn, processes, 0)
        storm(a, churn, connected, SINK)
        attack(rig, a, netload, STORM_USER, "nobody")
        attack(rig, a, netload, OTHER_USER, "daemon")
        losses = {cause: count for cause, count in rig.agent_status()["losses"].items() if count}
        note(f"shed, by the agent's own record: {losses or 'nothing'}")
        host = wait_until("the record at the collector", lambda: rig.host() if not losses or rig.host()["lost_events"] else None)
        note(f"at the collector: {host['lost_events']} events, degraded {host['degraded']}")
        check(losses.get("process budget", 0) >= SHED_RECORDS, "the storm was too small for its user's share")
        finding = wait_until("the finding of it", lambda: rig.query("findings", "--rule", "evidence-shed"), 20, 0.5)[0]
        note(f"found: {finding['severity']}, {finding['reason']}")


if __name__ == "__main__":
    main()
