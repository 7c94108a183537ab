#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What checkpoints cost the sensor: the same host with and without them, in one run. checkpoint_cost.py [PROCESSES [SECONDS]], 200 and 30 by default.

With one a second the sensor's CPU time (schedstat) is compared with that of a sensor without any, while processes come and go and connections are made;
a checkpoint's share is scaled to the default of one a minute. Beside it stand the agent's own count of its thread's time, and how many found no change.
In namespaces of its own, on loopback alone; the load is bounded by the seconds."""
import importlib
import pathlib
import socket
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from harness import cpu_ns, note, wait_until  # noqa: E402
from snapshot_box import run_in_box  # noqa: E402

DEFAULT_SECONDS = 60  # snapshot.checkpoint
fetch = importlib.import_module("86_snapshot_fetch")


def serve(server):
    """Takes connections, and closes each with its peer."""
    while True:
        end, _ = server.accept()
        threading.Thread(target=lambda peer=end: (peer.recv(1), peer.close()), daemon=True).start()


def load(until, listener):
    """Some life: a process and five connections a second."""
    while time.monotonic() < until:
        subprocess.run(["/bin/true"], check=True)
        held = [socket.create_connection(listener) for _ in range(5)]
        time.sleep(1)
        for end in held:
            end.close()


def measure(rig, every, seconds, listener):
    """(CPU seconds of the sensor, of the thread as it says itself, checkpoints, unchanged ones)."""
    rig.agent_extra = rig.base_extra
    rig.checkpoint = every
    rig.start_agent(wait=False)
    rig.await_agent()
    time.sleep(5)  # the start costs more than what comes after it

    def counters():
        status = rig.agent_status()["counters"]
        return [int(status.get(name, 0)) for name in ("microseconds of checkpoints", "checkpoints", "checkpoints without a change")]
    before, cpu = counters(), cpu_ns(rig.agent.pid)
    worker = threading.Thread(target=load, args=(time.monotonic() + seconds, listener))
    worker.start()
    worker.join()
    cpu = (cpu_ns(rig.agent.pid) - cpu) / 1e9
    after = counters()
    rig.agent.stop(20)
    own, count, unchanged = (b - a for a, b in zip(before, after))
    return cpu, own / 1e6, count, unchanged


class BenchRig(fetch.SnapshotRig):
    checkpoint = "0s"

    def write_agent_config(self):
        path = super().write_agent_config()
        path.write_text(path.read_text().replace("[snapshot]\n", f'[snapshot]\non_shutdown = false\ncheckpoint = "{self.checkpoint}"\n'))
        return path


def scene(processes=200, seconds=30):
    processes, seconds = int(processes), int(seconds)
    server = socket.create_server(("127.0.0.1", 0), backlog=64)
    threading.Thread(target=serve, args=(server,), daemon=True).start()
    idle = [subprocess.Popen(["/bin/sleep", str(10 * seconds + 600)]) for _ in range(processes)]
    try:
        with BenchRig("checkpoint-cost") as rig:
            rig.base_extra = rig.agent_extra
            rig.start_collector()
            wait_until("the load's processes", lambda: len(list(pathlib.Path("/proc").glob("[0-9]*"))) > processes, 20)
            without, _, _, _ = measure(rig, "0s", seconds, server.getsockname())
            with_them, own, count, unchanged = measure(rig, "1s", seconds, server.getsockname())
            each = (with_them - without) / max(count, 1)
            note(f"{processes} processes, {seconds} s: sensor {without:.3f} s of CPU without, {with_them:.3f} s with {count} checkpoints ({unchanged} unchanged)")
            note(f"a checkpoint: {each * 1e3:.2f} ms of the sensor, {own / max(count, 1) * 1e3:.2f} ms of its thread as it says")
            note(f"one in {DEFAULT_SECONDS} s: {max(each, own / max(count, 1)) / DEFAULT_SECONDS:.4%} of a core (budget 0.1 %)")
    finally:
        for process in idle:
            process.kill()


if __name__ == "__main__":
    run_in_box("bench-checkpoint", scene)
