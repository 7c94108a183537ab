#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""systemd units: exposure by systemd's own measure, a reason beside each capability, limits, watchdog, and for the agent
nothing that would hide from it what it is there to see."""
import pathlib
import re
import subprocess
import sys

import lintlib

MOST_EXPOSED = 4.5
SNAPSHOT_PEAK = 128 << 20
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
DEMANDED = {"Type": "notify", "NotifyAccess": "main", "NoNewPrivileges": "yes", "KillMode": "mixed"}
DEMANDED_SOMEHOW = ("WatchdogSec", "TasksMax", "MemoryHigh", "MemoryMax", "SystemCallFilter", "UMask", "StateDirectory")
BLINDING = ("PrivateTmp", "PrivateDevices", "ProtectProc", "ProcSubset", "ProtectKernelTunables", "ProtectKernelLogs",
            "PrivateNetwork", "PrivateUsers")


def settings(text):
    """{key: [value, ...]} of a unit, in order."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"([A-Za-z]+)=(.*)", line)
        if match:
            found.setdefault(match.group(1), []).append(match.group(2))
    return found


def exposure(path):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    match = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    return float(match.group(1)) if match else None


def check_agent(unit, name, findings):
    for key in BLINDING:
        if unit.get(key, ["no"])[-1] not in ("no", "default", "all"):
            findings.append(f"{name}: {key} hides from the agent what it is to see")
    if unit.get("ProtectHome", ["no"])[-1] not in ("no", "read-only"):
        findings.append(f"{name}: ProtectHome hides programs and keys under /home")
    for key in ("MemoryHigh", "MemoryMax"):
        match = re.fullmatch(r"(\d+)([KMG])", unit.get(key, [""])[-1])
        if not match or int(match.group(1)) * UNITS[match.group(2)] <= SNAPSHOT_PEAK:
            findings.append(f"{name}: {key} is not above a snapshot's peak of {SNAPSHOT_PEAK >> 20} MB")


def check(root):
    findings = []
    for name in lintlib.tree(root):
        if name.suffix != ".service":
            continue
        text = lintlib.read(root, name)
        unit = settings(text)
        for key, value in DEMANDED.items():
            if unit.get(key, [""])[-1] != value:
                findings.append(f"{name}: {key}={value} is missing")
        findings += [f"{name}: {key} is missing" for key in DEMANDED_SOMEHOW if key not in unit]
        reasons = "\n".join(line for line in text.splitlines() if line.startswith("#"))
        for capability in re.findall(r"CAP_[A-Z_]+", " ".join(unit.get("CapabilityBoundingSet", []))):
            if not re.search(rf"\b{capability}\b", reasons):
                findings.append(f"{name}: no reason is given for {capability}")
        if "CapabilityBoundingSet" not in unit:
            findings.append(f"{name}: CapabilityBoundingSet is missing")
        if "agent" in name.name:
            check_agent(unit, name, findings)
        level = exposure(pathlib.Path(root) / name)
        if level is None or level > MOST_EXPOSED:
            findings.append(f"{name}: exposure {level} by systemd-analyze security, more than {MOST_EXPOSED}")
    return findings


def unit(*lines):
    base = ["[Service]", "Type=notify", "NotifyAccess=main", "NoNewPrivileges=yes", "KillMode=mixed", "WatchdogSec=60",
            "ExecStart=/bin/true", "TasksMax=9", "MemoryHigh=160M", "MemoryMax=256M", "SystemCallFilter=@system-service",
            "UMask=0077", "StateDirectory=x", "User=nobody", "# CAP_KILL kill(2)", "CapabilityBoundingSet=CAP_KILL", "ProtectSystem=strict",
            "RestrictNamespaces=yes", "RestrictAddressFamilies=AF_UNIX", "ProtectKernelModules=yes", "ProtectClock=yes",
            "ProtectHostname=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes", "RestrictRealtime=yes", "RestrictSUIDSGID=yes",
            "SystemCallArchitectures=native", "ProtectControlGroups=yes", "PrivateMounts=yes", "DevicePolicy=closed"]
    return "\n".join(base + list(lines)) + "\n"


GOOD = {"a/x-agent.service": unit()}
BROKEN = [
    ("a capability without a reason", {"a/x-agent.service": unit("CapabilityBoundingSet=CAP_BPF")}, "no reason is given for CAP_BPF"),
    ("nothing is kept from it", {"a/y.service": "[Service]\nExecStart=/bin/true\n"}, "exposure"),
    ("no watchdog", {"a/x-agent.service": unit().replace("WatchdogSec=60\n", "")}, "WatchdogSec is missing"),
    ("a /tmp of its own", {"a/x-agent.service": unit("PrivateTmp=yes")}, "PrivateTmp hides"),
    ("less memory than a snapshot", {"a/x-agent.service": unit("MemoryMax=128M")}, "not above a snapshot's peak"),
    ("no home", {"a/x-agent.service": unit("ProtectHome=yes")}, "ProtectHome hides"),
]

if __name__ == "__main__":
    sys.exit(lintlib.run(check, GOOD, BROKEN))
