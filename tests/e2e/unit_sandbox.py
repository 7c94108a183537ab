#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a program as a unit would, where systemd cannot:  unit_sandbox.py UNIT COMMAND...

Of the unit's settings these hold: CapabilityBoundingSet, NoNewPrivileges, UMask, SystemCallFilter with the calls that RestrictNamespaces and
RestrictSUIDSGID take, RestrictAddressFamilies, MemoryDenyWriteExecute and ProtectProc, for which it makes a mount namespace. Other mounts are the caller's
business, resource limits are not looked at."""
import ctypes
import os
import pathlib
import re
import socket
import subprocess
import sys

ALLOW, REFUSE = 0x7FFF0000, 0x00050001  # EPERM, as SystemCallErrorNumber says
EQUAL, MASKED_EQUAL = 4, 7
PROT_WRITE, PROT_EXEC = 2, 4


class Compare(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("how", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def settings(path):
    found = {}
    for key, value in re.findall(r"^([A-Za-z]+)=(.*)$", pathlib.Path(path).read_text(encoding="utf-8"), re.M):
        found.setdefault(key, []).append(value)
    return found


def groups():
    """{"@group": [members]} by systemd's own account."""
    found, current = {}, None
    for line in subprocess.run(["systemd-analyze", "syscall-filter"], check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines():
        line = re.sub(r"\x1b\[[0-9;]*m", "", line)
        if line.startswith("@"):
            current = found.setdefault(line.strip(), [])
        elif current is not None and line.startswith("    ") and not line.strip().startswith("#"):
            current.append(line.strip())
    return found


def expand(names, known):
    calls = set()
    for name in names:
        calls |= expand(known[name], known) if name.startswith("@") else {name}
    return calls


def allowed(unit):
    known = groups()
    calls = expand(["@default"], known)
    for line in unit["SystemCallFilter"]:
        if line.startswith("~"):
            calls -= expand(line[1:].split(), known)
        else:
            calls |= expand(line.split(), known)
    for key, gone in (("RestrictNamespaces", {"setns", "unshare"}), ("RestrictSUIDSGID", {"openat2"})):
        if unit.get(key) == ["yes"]:
            calls -= gone
    return calls


def filter_calls(unit):
    lib = ctypes.CDLL("libseccomp.so.2")
    lib.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.seccomp_init(REFUSE))

    def rule(name, *compares):
        number = lib.seccomp_syscall_resolve_name(name.encode())
        array = (Compare * max(1, len(compares)))(*compares)
        if number >= 0 and lib.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), number, len(compares), array) != 0:
            raise OSError(f"no rule for {name}")

    calls = allowed(unit)
    if "RestrictAddressFamilies" in unit:
        calls.discard("socket")
        for family in unit["RestrictAddressFamilies"][-1].split():
            rule("socket", Compare(0, EQUAL, getattr(socket, family)))
    if unit.get("MemoryDenyWriteExecute") == ["yes"]:
        calls -= {"mmap", "mprotect"}
        rule("mmap", Compare(2, MASKED_EQUAL, PROT_EXEC, 0))
        rule("mmap", Compare(2, MASKED_EQUAL, PROT_WRITE, 0))
        rule("mprotect", Compare(2, MASKED_EQUAL, PROT_EXEC, 0))
    for name in sorted(calls):
        rule(name)
    if lib.seccomp_load(context) != 0:
        raise OSError("the filter could not be loaded")


def main():
    if sys.argv[1] == "--filtered":
        filter_calls(settings(sys.argv[2]))
        os.execv(sys.argv[3], sys.argv[3:])
    unit = settings(sys.argv[1])
    kept = "".join(f",+{name.removeprefix('CAP_').lower()}" for name in " ".join(unit["CapabilityBoundingSet"]).split())
    os.umask(int(unit["UMask"][-1], 8))
    command = ["setpriv", f"--bounding-set=-all{kept}", "--inh-caps=-all", "--no-new-privs",
               sys.executable, __file__, "--filtered", sys.argv[1], *sys.argv[2:]]
    if (hidden := unit.get("ProtectProc", ["default"])[-1]) != "default":
        mount = f'mount -t proc -o nosuid,nodev,noexec,hidepid={hidden} proc /proc && exec "$@"'
        command = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", mount, "sh", *command]
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
