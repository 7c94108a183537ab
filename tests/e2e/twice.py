#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""twice.py TEST [ARGUMENT...]: runs an end-to-end test, and once more if it fails. They play real attacks against real daemons on machines
that others use, too, and may stand still for seconds. What fails twice has failed; what failed once is told: its output stays in front of the
second one, and its name goes to the file that CULPRIT_SECOND_TRIES names, which tests/run.sh prints with the summary."""
import os
import pathlib
import subprocess
import sys

SKIP = 77


def main():
    command = [sys.executable, *sys.argv[1:]]
    status = subprocess.run(command, check=False).returncode
    if status in (0, SKIP):
        return status
    name = pathlib.Path(sys.argv[1]).stem
    print(f"--- {name}: failed with status {status}; once more", flush=True)
    if told := os.environ.get("CULPRIT_SECOND_TRIES"):
        with open(told, "a", encoding="utf-8") as file:
            file.write(f"{name}\n")
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
