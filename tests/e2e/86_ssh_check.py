#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""culprit-agent ssh-check beside the real sshd: servers that really run, also a renamed one whose executable is deleted, and fixes
that sshd takes and obeys when they are read first."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from harness import BIN, Daemon, check, free_port, note, run, wait_until

SSHD = "/usr/sbin/sshd"
WEAK = """PasswordAuthentication yes
PermitRootLogin yes
PermitEmptyPasswords yes
IgnoreRhosts no
HostbasedAuthentication yes
PermitUserEnvironment yes
StrictModes no
GatewayPorts yes
PermitTunnel yes
X11Forwarding yes
LogLevel QUIET
MaxAuthTries 60
LoginGraceTime 0
MaxSessions 100
RequiredRSASize 1024
KexAlgorithms +diffie-hellman-group1-sha1
Ciphers +aes128-cbc
MACs +hmac-md5
HostKeyAlgorithms +ssh-rsa
PubkeyAcceptedAlgorithms +ssh-rsa
Match User root
    LogLevel FATAL
    PermitTunnel ethernet
"""


def ssh_check(*arguments):
    """The answer and the exit code."""
    done = subprocess.run([BIN / "culprit-agent", "ssh-check", "--json", *arguments], stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout), done.returncode


def fixes_are_obeyed(folder):
    image = folder / "image"
    (image / "etc/ssh/sshd_config.d").mkdir(parents=True)
    for name in ("passwd", "group"):
        shutil.copy(f"/etc/{name}", image / "etc")
    include = "Include /etc/ssh/sshd_config.d/*.conf\n"
    (image / "etc/ssh/sshd_config").write_text(include + WEAK)
    answer, code = ssh_check("--root", image)
    check(code == 13, f"exit code {code} of a configuration with critical findings")
    fixes = [f["fix"] for f in answer["findings"] if f["fix"] and f["severity"] != "info"]
    plain = list(dict.fromkeys(f for f in fixes if not f.startswith("Match ")))
    blocks = list(dict.fromkeys(f for f in fixes if f.startswith("Match ")))
    check(len(plain) > 20 and len(blocks) > 1, f"only {len(plain)} fixes and {len(blocks)} blocks")
    host_key = folder / "host"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key)
    real = folder / "sshd_config"
    (folder / "fixes.conf").write_text("\n".join([*plain, *blocks]) + "\n")
    real.write_text(f"Include {folder / 'fixes.conf'}\nHostKey {host_key}\n{WEAK}")
    dump = run(SSHD, "-T", "-f", real, "-C", "user=root,host=h,addr=192.0.2.9,laddr=192.0.2.1,lport=22").stdout.splitlines()
    expected = [f"{word.split()[0].lower()} {word.split(None, 1)[1]}" for fix in plain for word in fix.split("\n")
                if not word.split()[1].startswith("-") and not word.startswith("AllowUsers")]
    expected += ["loglevel VERBOSE", "permittunnel no"]  # also where the Match block weakened them
    missing = [e for e in expected if e not in dump]
    check(not missing, f"sshd does not obey: {missing}")
    for kind in ("kexalgorithms", "ciphers", "macs", "hostkeyalgorithms", "pubkeyacceptedalgorithms"):
        (line,) = [d for d in dump if d.startswith(kind + " ")]
        names = line.split()[1].split(",")
        bad = [n for n in names if n.endswith("-cbc") or "md5" in n or n == "ssh-rsa" or n.endswith("-sha1")]
        check(not bad, f"{kind} still has {bad}")
    (image / "etc/ssh/sshd_config.d/00-culprit.conf").write_text("\n".join([*plain, *blocks]) + "\n")
    after, code = ssh_check("--root", image)
    left = [f["id"] for f in after["findings"] if f["fix"] and f["severity"] != "info"]
    check(not left, f"left after the fixes: {left}")
    note(f"{len(plain)} fixes and {len(blocks)} Match blocks are obeyed by sshd; exit code afterwards {code}")


def servers_are_seen(folder):
    os.makedirs("/run/sshd", exist_ok=True)
    config = folder / "second_config"
    config.write_text(f"HostKey {folder / 'host'}\nPidFile none\nListenAddress 127.0.0.1\n")
    renamed = folder / "kworker"
    shutil.copy(SSHD, renamed)
    with contextlib.ExitStack() as stack:
        daemons = {}
        for name, exe in (("second", SSHD), ("renamed", renamed)):
            port = free_port()
            daemon = Daemon([exe, "-D", "-f", config, "-p", port], folder / f"{name}.log")
            stack.callback(daemon.stop)
            daemons[name] = (daemon, port)

        def seen():
            answer, _ = ssh_check("--config", config)
            return {s["pid"]: s for s in answer["servers"]}, answer

        pids = {d.pid for d, _ in daemons.values()}
        wait_until("both servers listen", lambda: pids <= set(seen()[0]))
        renamed.unlink()
        servers, answer = seen()
        for name, (daemon, port) in daemons.items():
            check(servers[daemon.pid]["listens"] == [f"127.0.0.1:{port}"], f"{name}: {servers[daemon.pid]}")
            found = [f for f in answer["findings"]
                     if f["id"] == "proc.second_sshd" and f["evidence"][0]["file"] == f"/proc/{daemon.pid}"]
            check(found and found[0]["severity"] == "critical", f"{name}: {found}")
        check(servers[daemons["renamed"][0].pid]["exe_deleted"], "the deleted executable is not marked")
        check("kworker" in servers[daemons["renamed"][0].pid]["exe"], "the renamed executable has no name")
    note("a second sshd and a renamed, deleted one are seen with address and pid")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        fixes_are_obeyed(folder)
        servers_are_seen(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
