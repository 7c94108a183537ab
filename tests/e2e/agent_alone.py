#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agent without a collector. Real programs talk between two namespaces; what `run --record` kept of it says, replayed, of each connection the right
process with its command line, uid and ancestry, the payload that the program itself counted, how it ended, and wire bytes as the interface
counted them. Runs inside the guest that tests/bench/graviton.py boots."""
import collections
import json
import pathlib
import subprocess
import sys

from harness import BIN, HERE, Daemon, Rig, check, note, run, wait_until

TCP, UDP, HTTP = 7001, 7002, 8080
V4, V6 = "192.0.2.2", "2001:db8::2"
OWN = {False: "192.0.2.1", True: "2001:db8::1"}
CURL_BYTES = 2_000_000
Expected = collections.namedtuple("Expected", "local remote pid exe argument uid tx rx state")


def endpoint(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def start_agent(rig):
    (rig.dir / "agent.toml").write_text(f'state_dir = "{rig.dir / "agent"}"\n[identity]\nsource = "machine"\n[snapshot]\nenabled = false\n')
    rig.agent = Daemon([BIN / "culprit-agent", "run", "--config", rig.dir / "agent.toml", "--record", rig.dir / "events"], rig.dir / "agent.log")
    status = wait_until("the agent's status", rig.agent_status, 60)
    hooks = status["fidelity"]["hooks"]
    note(f"hooks: {sum(h['active'] for h in hooks)} active; not there: {[h['name'] for h in hooks if not h['active']]}")
    # Linux 6.1 lacks the first two, which have stand-ins; a box may have no log of logins.
    absent = {h["name"] for h in hooks if not h["active"]} - {"sock_send_length", "sock_recv_length", "logins"}
    check(not absent, f"absent: {absent}")


def talk(a, binary, mode, remote, size):
    port = {"udp": UDP, "tcp": TCP, "refused": 9}[mode]
    result = json.loads(a.run(binary, mode, remote, port, size).stdout)
    check(mode == "refused" or result["tx"] == result["rx"] == size, f"echo incomplete: {result}")
    return Expected(endpoint(OWN[":" in remote], result["local_port"]), endpoint(remote, port), result["pid"], str(binary), mode, 0, size, size,
                    {"tcp": "closed", "udp": None, "refused": "failed"}[mode])


def curl(a, remote):
    url = f"http://{endpoint(remote, HTTP)}/{CURL_BYTES}"
    process = subprocess.Popen(
        a.command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-gsS", "-o", "/dev/null", "-w",
                  "%{local_port} %{size_request} %{size_header} %{size_download}", url), stdout=subprocess.PIPE, text=True)
    port, request, header, body = (int(v) for v in process.communicate()[0].split())
    check(body == CURL_BYTES, f"curl got {body} bytes")
    return Expected(endpoint(OWN[":" in remote], port), endpoint(remote, HTTP), process.pid, "/usr/bin/curl", url, 65534, request, header + body, "closed")


def replayed(rig):
    """What the events say: {process id: facts}, and the last row of each (flow, process)."""
    done = run(BIN / "culprit-agent", "replay", rig.dir / "events", "--print", "--config", rig.dir / "agent.toml", stderr=subprocess.DEVNULL)
    processes, flows = {}, {}
    for record in map(json.loads, done.stdout.splitlines()):
        if record["type"] == "process":
            processes[record["process"]] = record
        elif record["type"] == "flow":
            flows[record["flow"], record["process"]] = record
    return processes, list(flows.values())


def ancestry(processes, process):
    pids = []
    while process in processes and len(pids) < 100:
        pids.append(processes[process]["pid"])
        process = processes[process]["parent"]
    return pids


def judge(expected, processes, flows):
    rows = [f for f in flows if (f["local"], f["remote"], f["direction"]) == (expected.local, expected.remote, "out")]
    check(len(rows) == 1, f"{expected}: {len(rows)} rows: {rows}")
    flow, process = rows[0], processes[rows[0]["process"]]
    check((process["pid"], process["exe"], process["uid"]) == (expected.pid, str(pathlib.Path(expected.exe).resolve()), expected.uid),
          f"{expected}: charged to {process}")
    check(expected.argument in process["argv"], f"{expected}: argv {process['argv']}")
    check(len(process["sha256"]) == 64, f"{expected}: no hash of {process['exe']}")
    line = ancestry(processes, flow["process"])
    check(line[-1] == 1, f"{expected}: ancestry {line} does not reach pid 1")
    check((flow["tx_payload_bytes"], flow["rx_payload_bytes"]) == (expected.tx, expected.rx), f"{expected}: payload {flow}")
    check(expected.state in (None, flow["state"]), f"{expected}: state {flow['state']}")
    note(f"ok      {flow['local']} -> {flow['remote']} {flow['state']}: pid {process['pid']} {process['exe']}, tx {flow['tx_payload_bytes']} rx "
         f"{flow['rx_payload_bytes']}, ancestry {line}")


def main():
    with Rig("agent-alone") as rig:
        binary = rig.compile("talk", "-static")
        a, b = rig.namespaces()
        server = rig.spawn(*b.command(sys.executable, HERE / "echo_server.py", TCP, UDP, HTTP), log="server.log")
        wait_until("echo server", lambda: "ready" in server.log.read_text())
        start_agent(rig)
        rig.settle(a)
        before = a.counters()
        expected = [curl(a, remote) for remote in (V4, V6)]
        for remote in (V4, V6):
            expected += [talk(a, binary, "tcp", remote, 900_000), talk(a, binary, "udp", remote, 60_000), talk(a, binary, "refused", remote, 0)]
        rig.settle(a)
        tx, _, rx, _ = (after - then for after, then in zip(a.counters(), before))
        check(rig.agent.stop() == 0, f"the agent ended with {rig.agent.process.returncode}")
        rig.agent = None
        processes, flows = replayed(rig)
        for one in expected:
            judge(one, processes, flows)
        own = {(one.local, one.remote) for one in expected}  # others on this machine may have such addresses, too
        sums = [sum(f[way] for f in flows if (f["local"], f["remote"]) in own and f["direction"] == "out") for way in ("tx_wire_bytes", "rx_wire_bytes")]
        check(all(abs(got - want) <= want / 100 for got, want in zip(sums, (tx, rx))), f"wire tx and rx {sums}, the interface counted {tx} and {rx}")
        note(f"ok      wire tx and rx {sums}, the interface counted {tx} and {rx}")


if __name__ == "__main__":
    main()
