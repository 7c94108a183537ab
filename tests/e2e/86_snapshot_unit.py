#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A snapshot that the collector asks for, by an agent under the restrictions of the unit that is packaged: a process over which something was mounted,
before the agent began and after it, is read whole and called hidden; sockets of a network namespace that the unit does not let the agent enter are
there with their owners; what the restrictions keep back is told. In namespaces of its own."""
import importlib
import json
import os
import shutil
import subprocess
import sys

import harness
from harness import Daemon, check, note, run, wait_until
from snapshot_box import run_in_box

fetch = importlib.import_module("86_snapshot_fetch")
UNIT, SANDBOX = harness.TOP / "deploy/systemd/culprit-agent.service", harness.HERE / "unit_sandbox.py"
PORT = 4711
LISTEN = (f"import socket, time\ns = socket.create_server(('127.0.0.1', {PORT}))\nu = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
          f"u.bind(('127.0.0.1', {PORT}))\nx = socket.socket(socket.AF_UNIX)\nx.bind('/tmp/inside')\nx.listen()\n"
          "p = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))\nprint('ready', flush=True)\ntime.sleep(600)\n")


class UnitRig(fetch.SnapshotRig):
    def start_agent(self, wait=True, arguments=()):
        self.make_certificates()
        config = self.write_agent_config()
        self.agent = Daemon([sys.executable, f"/mnt/rig/{SANDBOX.name}", f"/mnt/rig/{UNIT.name}", harness.BIN / "culprit-agent", "run", "--config", config],
                            self.dir / "agent.log")
        return self.agent


def hide(environment):
    """A process, with something mounted over it."""
    pid = subprocess.Popen(["/usr/bin/sleep", "600"], env=environment).pid
    os.makedirs("/mnt/empty", exist_ok=True)
    run("mount", "--bind", "/mnt/empty", f"/proc/{pid}")
    check(not os.path.exists(f"/proc/{pid}/stat"), "it is not hidden")
    return pid


def inside():
    """A process with sockets in a network namespace of its own."""
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, "-c", LISTEN],
                               stdout=subprocess.PIPE, text=True)
    check(process.stdout.readline() == "ready\n", "the listener in a namespace")
    return process.pid


def table(rig, record, name):
    members = [json.loads(line)["name"] for line in rig.snapshot("ls", record["id"], "--json").stdout.splitlines()]
    parts = [m for m in members if m == f"live/{name}.jsonl" or (m.startswith(f"live/{name}-") and m[len(f"live/{name}-"):-len(".jsonl")].isdigit())]
    return [json.loads(line) for part in parts for line in rig.snapshot("cat", record["id"], part).stdout.splitlines()]


def scene():
    with UnitRig("snapshot-unit") as rig:
        before = hide({"before": "1"})
        namespaced = inside()
        rig.start_collector()
        rig.start_agent()
        rig.await_agent()
        wait_until("the host in the index", lambda: 0 < rig.status()["journal_lsn"] == rig.status()["index_lsn"], 30)
        after = hide({"after": "1"})
        record = json.loads(rig.snapshot("take", "--wait", "--json", "--tier", "0").stdout)
        check(record["state"] == "complete", f"{record}")
        processes = {row["pid"]: row for row in table(rig, record, "processes")}
        hidden = {row["pid"]: row for row in table(rig, record, "hidden")}
        check(hidden.keys() == {before, after}, f"hidden are {before} and {after}, not {hidden}")
        for pid, when in ((before, "before"), (after, "after")):
            row, view = processes[pid], hidden[pid]
            check(row["exe"] == "/usr/bin/sleep" and row["arguments"] == ["/usr/bin/sleep", "600"] and when in row["environment"], f"{row}")
            check(not view["in_proc"] and view["in_own_procfs"] and view["in_kernel_list"] and f" /proc/{pid} " in view["covered_by"], f"{view}")
        check(os.getpid() in processes, "the test itself is not among the processes")
        sockets = table(rig, record, "sockets")
        theirs = {row["protocol"]: row for row in sockets if any(owner["pid"] == namespaced for owner in row["owners"])}
        check(theirs.keys() == {"tcp", "udp", "unix", "packet"}, f"{theirs}")
        check(theirs["tcp"]["local_port"] == theirs["udp"]["local_port"] == PORT and theirs["tcp"]["state"] == "listen", f"{theirs}")
        check(theirs["unix"]["name"] == "/tmp/inside", f"{theirs['unix']}")
        errors = rig.snapshot("cat", record["id"], "errors-tier0.jsonl").stdout
        check("a procfs of our own" not in errors and "cannot be entered" in errors, f"{errors}")
        note(f"{len(processes)} processes, two of them hidden and read all the same; the sockets of a namespace that cannot be entered")
        note("PASSED")


if __name__ == "__main__":
    run_in_box("e2e-snapshot-unit", scene, lambda share: [shutil.copy(path, share) for path in (UNIT, SANDBOX)])
