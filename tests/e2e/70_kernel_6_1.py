#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Agent, collector and test programs inside a guest with Debian 12's own kernel (6.1): the kernel programs load, every
record of tests/bpf is right there, and so are attribution, the stand-ins for what 6.1 lacks, and SCTP.

70_kernel_6_1.py [NAME...]: only these parts (bpf-process, bpf-flow, attribution, older)."""
import sys

from guestbox import PYTHON, Box
from harness import BIN, Rig, check, note

# What an emulated machine has the time for: one case of each kind. The rest is the same on every kernel.
CASES = "^(curl to 192|ssh to 192|python udp to 2001|static binary tcp to 2001|refused by 192|a process that lives|opened before|the sum)"
PARTS = {
    "older": f"{PYTHON} tests/e2e/older_kernel.py",
    "attribution": f"{PYTHON} tests/e2e/10_attribution.py '{CASES}'",
    "bpf-process": "helpers/bpf_process_test --gtest_color=no --gtest_brief=1",
    "bpf-flow": "helpers/bpf_flow_test --gtest_color=no --gtest_brief=1",
}
SECONDS = 840
MODULES = ("veth", "sctp")


AGENT = ("culprit-agent", "culprit-agent-sender", "culprit-agent-parser")


def fill(rig, box, build, programs=(*AGENT, "culprit", "culprit-collector")):
    """What the parts need: our programs and tests out of a folder of CMake's, and the programs that they start."""
    for program in programs:
        box.add(build / "bin" / program, "/culprit/bin")
    for program in ("bpf_process_test", "bpf_flow_test"):
        box.add(build / "tests/bpf" / program, "/culprit/helpers")
    for program in ("talk", "sctp"):
        box.add(rig.compile(program, "-static", compiler=f"{box.machine.tools}gcc"), "/culprit/helpers")


def play(box, parts, seconds):
    answers = box.run(parts, seconds)
    for name, (status, output) in answers.items():
        note(f"--- {name}: exit {status}\n{output.rstrip()}")
    wrong = [name for name in parts if answers.get(name, (None,))[0] != 0]
    check(not wrong, f"in the guest: {', '.join(wrong)}")


def main():
    parts = {name: PARTS[name] for name in sys.argv[1:] or PARTS}
    with Rig("kernel-6-1") as rig:
        box = Box(rig.dir, "guest", MODULES)
        fill(rig, box, BIN.parent)
        play(box, parts, SECONDS)


if __name__ == "__main__":
    main()
