#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The README's first command on this tree: builds, shows a connection of ours live, stops cleanly, and is idempotent."""
import os
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time

from harness import BIN, TOP, Rig, check, note, run, wait_until

SCRIPT = TOP / "deploy/quickstart.sh"
PRESET = ("--preset", BIN.parent.name)  # what is built already: the release build takes minutes


def talk_for(seconds, port):
    """Short connections on loopback for the view to show."""
    listener = socket.create_server(("127.0.0.1", port))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(b"hello")
            listener.accept()[0].close()
        time.sleep(0.2)


def ours(data):
    """Processes that name the data directory."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(data) in command and b"culprit-" in command and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def main():
    with Rig("quickstart") as rig:
        data = rig.dir / "data"
        rig.cleanups.append(lambda: run(SCRIPT, "--data", data, "--stop", check=False))
        port = rig.port
        threading.Thread(target=talk_for, args=(3000, port), daemon=True).start()
        began = time.monotonic()
        first = run(SCRIPT, *PRESET, "--data", data, "--duration", "20")
        note(f"first run: {time.monotonic() - began:.0f} s")
        lines = [line for line in first.stdout.splitlines() if f":{port}" in line and "python" in line]
        check(lines, f"no connection of ours in the view:\n{first.stdout[-3000:]}")
        note(lines[0])
        check("stopped; data stays in" in first.stdout, "no word about stopping")
        check(not ours(data), f"left running: {ours(data)}")
        check((data / "collector").is_dir(), "no data left")

        # A pid file of a process that is not ours any more must harm nobody.
        bystander = subprocess.Popen(["sleep", "600"])
        rig.cleanups.append(bystander.kill)
        (data / "run/agent.pid").write_text(f"{bystander.pid} 12345\n")
        began = time.monotonic()
        detached = run(SCRIPT, *PRESET, "--data", data, "--detach")
        note(f"second run, detached: {time.monotonic() - began:.1f} s")
        check(bystander.poll() is None, "a foreign process was ended")
        check(len(ours(data)) >= 2, "nothing runs")
        again = run(SCRIPT, *PRESET, "--data", data, "--detach")
        check("already running" in again.stdout, again.stdout)
        check("agent runs" in run(SCRIPT, "--data", data, "--status").stdout, "status")
        top = re.search(r"^Look:\s+(.*) top$", detached.stdout, re.M).group(1)
        wait_until("flows shown by the command that quickstart printed",
                   lambda: f":{port}" in run(*top.split(), "flows").stdout)
        check("stopped" in run(SCRIPT, "--data", data, "--stop").stdout, "stop")
        check(not ours(data), f"left running: {ours(data)}")
        check("nothing runs" in run(SCRIPT, "--data", data, "--stop").stdout, "second stop")


if __name__ == "__main__":
    sys.exit(main())
