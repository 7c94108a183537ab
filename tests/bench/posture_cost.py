#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What one look at the SSH of a host costs: CPU time and memory of culprit-agent ssh-check on this host, and on images with more
accounts and keys. The program's own start (--help) is measured beside it and taken off.

    tests/bench/posture_cost.py [--times N]
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

BIN = pathlib.Path(os.environ.get("CULPRIT_BIN", "build/release/bin")).resolve()
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def measure(times, *arguments):
    """Median CPU milliseconds, and the largest resident set in MiB."""
    cpu, memory = [], 0
    for _ in range(times):
        process = subprocess.Popen([BIN / "culprit-agent", "ssh-check", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, _, used = os.wait4(process.pid, 0)
        cpu.append((used.ru_utime + used.ru_stime) * 1e3)
        memory = max(memory, used.ru_maxrss / 1024)
    return statistics.median(cpu), memory


def image(folder, accounts, keys):
    (folder / "etc").mkdir(parents=True)
    shutil.copytree("/etc/ssh", folder / "etc/ssh")
    lines = [f"user{i}:x:{2000 + i}:100::/home/user{i}:/bin/bash\n" for i in range(accounts)]
    (folder / "etc/passwd").write_text("root:x:0:0::/root:/bin/bash\n" + "".join(lines))
    (folder / "etc/group").write_text("root:x:0:\n")
    (folder / "etc/shadow").write_text("root:!:1::::::\n")
    for i in range(accounts):
        home = folder / f"home/user{i}/.ssh"
        home.mkdir(parents=True)
        (home / "authorized_keys").write_text("".join(f"{KEY} key {n}\n" for n in range(keys)))
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    start, _ = measure(times, "--help")
    print(f"program's start: {start:.1f} ms of CPU")
    with tempfile.TemporaryDirectory() as work:
        cases = [("this host, processes and all", [])]
        for accounts, keys in ((5, 3), (100, 10), (1000, 10)):
            root = image(pathlib.Path(work) / f"{accounts}", accounts, keys)
            cases.append((f"image, {accounts} accounts of {keys} keys", ["--root", root]))
        for name, arguments in cases:
            cpu, memory = measure(times, *arguments)
            print(f"{name}: {cpu - start:.1f} ms of CPU, {memory:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
