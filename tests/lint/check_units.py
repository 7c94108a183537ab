#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""systemd units: systemd understands them, exposure by its own measure, a reason beside each capability, limits, watchdog, programs where CMake
installs them, and for the agent nothing that would hide from it what it is there to see."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import lintlib

MOST_EXPOSED = 4.5
SNAPSHOT_PEAK = 128 << 20
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
DEMANDED = {"Type": "notify", "NotifyAccess": "main", "NoNewPrivileges": "yes", "KillMode": "mixed"}
DEMANDED_SOMEHOW = ("WatchdogSec", "TasksMax", "MemoryHigh", "MemoryMax", "SystemCallFilter", "UMask", "StateDirectory")
BLINDING = ("PrivateTmp", "PrivateDevices", "ProcSubset", "ProtectKernelTunables", "ProtectKernelLogs",
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


def installed(root, files):
    """Programs by the install rules: {"/usr/sbin/NAME", ...}."""
    rules = re.findall(r"install\(TARGETS ([^)]*?) RUNTIME DESTINATION (\w+)",
                       "\n".join(lintlib.read(root, name) for name in files if name.name == "CMakeLists.txt"))
    return {f"/usr/{place}/{program}" for programs, place in rules for program in programs.split()}


def misunderstood(path, programs):
    """What systemd-analyze verify says of the unit, in a root where its programs and systemd's own targets are."""
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        for program in programs | {"/bin/kill"}:
            lintlib.write_tree(root, {program.lstrip("/"): "#!/bin/sh\n"})
            (root / program.lstrip("/")).chmod(0o755)
        folder = root / "usr/lib/systemd/system"
        lintlib.write_tree(folder, {f"{name}.target": f"[Unit]\nDescription={name}\n"
                                    for name in ("sysinit", "basic", "shutdown", "network-online", "multi-user")})
        (folder / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--generators=no", "--recursive-errors=no", f"--root={root}",
                               f"/usr/lib/systemd/system/{path.name}"], text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return [line for line in done.stdout.splitlines() if path.name in line]


def check_agent(unit, name, findings):
    for key in BLINDING:
        if unit.get(key, ["no"])[-1] not in ("no", "default", "all"):
            findings.append(f"{name}: {key} hides from the agent what it is to see")
    if unit.get("ProtectProc", ["default"])[-1] != "default" and "CAP_SYS_PTRACE" not in " ".join(unit.get("CapabilityBoundingSet", [])):
        findings.append(f"{name}: ProtectProc without CAP_SYS_PTRACE hides the processes of others")
    if unit.get("ProtectHome", ["no"])[-1] not in ("no", "read-only"):
        findings.append(f"{name}: ProtectHome hides programs and keys under /home")
    for key in ("MemoryHigh", "MemoryMax"):
        match = re.fullmatch(r"(\d+)([KMG])", unit.get(key, [""])[-1])
        if not match or int(match.group(1)) * UNITS[match.group(2)] <= SNAPSHOT_PEAK:
            findings.append(f"{name}: {key} is not above a snapshot's peak of {SNAPSHOT_PEAK >> 20} MB")


def check(root):
    if not shutil.which("systemd-analyze"):
        return ["systemd-analyze is missing: deploy/install-packages.sh test"]
    findings = []
    files = lintlib.tree(root)
    programs = installed(root, files)
    for name in files:
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
        for command in unit.get("ExecStart", [""]):
            if command.split(" ")[0] not in programs:
                findings.append(f"{name}: {command.split(' ')[0]} is not what CMake installs")
        findings += [f"{name}: {line}" for line in misunderstood(pathlib.Path(root) / name, programs)]
        level = exposure(pathlib.Path(root) / name)
        if level is None or level > MOST_EXPOSED:
            findings.append(f"{name}: exposure {level} by systemd-analyze security, more than {MOST_EXPOSED}")
    return findings


def unit(*lines):
    base = ["[Service]", "Type=notify", "NotifyAccess=main", "NoNewPrivileges=yes", "KillMode=mixed", "WatchdogSec=60",
            "ExecStart=/usr/sbin/x run", "TasksMax=9", "MemoryHigh=160M", "MemoryMax=256M", "SystemCallFilter=@system-service",
            "UMask=0077", "StateDirectory=x", "User=daemon", "# CAP_KILL kill(2)", "CapabilityBoundingSet=CAP_KILL", "ProtectSystem=strict",
            "RestrictNamespaces=yes", "RestrictAddressFamilies=AF_UNIX", "ProtectKernelModules=yes", "ProtectClock=yes",
            "ProtectHostname=yes", "LockPersonality=yes", "MemoryDenyWriteExecute=yes", "RestrictRealtime=yes", "RestrictSUIDSGID=yes",
            "SystemCallArchitectures=native", "ProtectControlGroups=yes", "PrivateMounts=yes", "DevicePolicy=closed"]
    return "\n".join(base + list(lines)) + "\n"


GOOD = {"a/x-agent.service": unit(), "a/CMakeLists.txt": "install(TARGETS y x RUNTIME DESTINATION sbin COMPONENT agent)\n"}
BROKEN = [
    ("a capability without a reason", {"a/x-agent.service": unit("CapabilityBoundingSet=CAP_BPF")}, "no reason is given for CAP_BPF"),
    ("nothing is kept from it", {"a/y.service": "[Service]\nExecStart=/bin/true\n"}, "exposure"),
    ("no watchdog", {"a/x-agent.service": unit().replace("WatchdogSec=60\n", "")}, "WatchdogSec is missing"),
    ("a /tmp of its own", {"a/x-agent.service": unit("PrivateTmp=yes")}, "PrivateTmp hides"),
    ("less memory than a snapshot", {"a/x-agent.service": unit("MemoryMax=128M")}, "not above a snapshot's peak"),
    ("a program that is elsewhere", {"a/x-agent.service": unit().replace("sbin/x", "bin/x")}, "/usr/bin/x is not what CMake installs"),
    ("a key that systemd does not know", {"a/x-agent.service": unit("ProtectEverything=yes")}, "Unknown key"),
    ("a /proc with its own processes alone", {"a/x-agent.service": unit("ProtectProc=invisible")}, "ProtectProc without CAP_SYS_PTRACE hides"),
    ("no home", {"a/x-agent.service": unit("ProtectHome=yes")}, "ProtectHome hides"),
]

if __name__ == "__main__":
    sys.exit(lintlib.run(check, GOOD, BROKEN))
