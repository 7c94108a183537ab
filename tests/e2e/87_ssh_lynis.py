#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ssh-check beside lynis on the same host: three configurations, each under a running sshd in namespaces of its own. Where one of the
two complains and the other does not, DIFFERENCES says why; a difference that is not there, or one that is there and gone, fails."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from harness import BIN, SKIP, check, note, run

# Option of lynis's SSH-7408 -> check of ours; None: we have none.
SAME = {
    "AllowTcpForwarding": "cfg.tcp_forwarding", "ClientAliveCountMax": "cfg.clientalive", "ClientAliveInterval": "cfg.clientalive",
    "Compression": None, "FingerprintHash": None, "GatewayPorts": "cfg.gateway_ports", "IgnoreRhosts": "cfg.ignore_rhosts",
    "LoginGraceTime": "cfg.logingrace", "LogLevel": "cfg.loglevel", "MaxAuthTries": "cfg.maxauthtries",
    "MaxSessions": "cfg.maxsessions", "PermitRootLogin": "cfg.root_login", "PermitUserEnvironment": "cfg.permit_user_env",
    "PermitTunnel": "cfg.tunnel", "Port": None, "PrintLastLog": None, "StrictModes": "cfg.strictmodes", "TCPKeepAlive": None,
    "UseDNS": None, "X11Forwarding": "cfg.x11", "AllowAgentForwarding": "cfg.agent_fwd",
}
# What lynis has no test for at all.
OURS_ALONE = {
    "cfg.allow_list", "cfg.ciphers", "cfg.empty_passwords", "cfg.hostbased", "cfg.kex", "cfg.macs", "cfg.match_never", "cfg.match_weaker",
    "cfg.maxstartups", "cfg.password_auth", "cfg.permitopen_any", "cfg.rsa_min", "cfg.shadowed", "cfg.streamlocal",
}
HARDENED = """PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AllowTcpForwarding no
AllowStreamLocalForwarding no
AllowAgentForwarding no
X11Forwarding no
PermitTunnel no
PermitOpen none
PermitListen none
LogLevel VERBOSE
RequiredRSASize 2048
MaxAuthTries 3
MaxSessions 2
MaxStartups 10:30:60
LoginGraceTime 60
ClientAliveInterval 300
ClientAliveCountMax 2
Compression no
TCPKeepAlive no
UseDNS no
AllowUsers root
Ciphers -*-cbc,arcfour*
MACs -hmac-sha1*,umac-64*
"""
HOSTS = {
    "default": "",
    "weak": """AllowTcpForwarding yes
ClientAliveInterval 0
ClientAliveCountMax 30
GatewayPorts yes
IgnoreRhosts no
LoginGraceTime 900
LogLevel QUIET
MaxAuthTries 1000
MaxSessions 50
PermitRootLogin yes
PermitEmptyPasswords yes
HostbasedAuthentication yes
PermitUserEnvironment yes
PermitTunnel yes
PrintLastLog no
StrictModes no
UseDNS yes
X11Forwarding yes
FingerprintHash md5
Ciphers +aes128-cbc
KexAlgorithms +diffie-hellman-group1-sha1
""",
    "match": HARDENED + """Match User root Address 203.0.113.0/24
    PermitRootLogin yes
    PasswordAuthentication yes
    AllowTcpForwarding yes
    X11Forwarding yes
    MaxAuthTries 50
Match User !root
    PermitTunnel no
""",
    "hardened": HARDENED,
}
COMPRESSION = "compression after authentication gives nobody a way in"
KEEPALIVE = "TCPKeepAlive ends dead sessions sooner; that it can be forged ends a session and opens none"
PORT = "another port hides from the noise only; a port that is odd for this host is proc.second_sshd"
PROHIBIT = "root by key is one account that every guess knows: low for us, good for lynis"
INTERVAL = "0 is no keep-alive at all, which lynis takes for less than 300"
SESSIONS = "sshd's own 10 is what multiplexing clients need; lynis wants 2"
GRACE = "sshd's own 120 s holds a slot for a connection that says nothing: more than 60 s is low for us"
INFORMATION = "a display of the last login or of a fingerprint is no way in"
IN_MATCH = "lynis asks sshd about one user who does not exist, so it never sees a Match block for a real one"
# (host, option) -> why one says it and the other does not.
DIFFERENCES = {
    ("default", "Compression"): COMPRESSION, ("weak", "Compression"): COMPRESSION,
    ("default", "TCPKeepAlive"): KEEPALIVE, ("weak", "TCPKeepAlive"): KEEPALIVE,
    ("default", "Port"): PORT, ("weak", "Port"): PORT, ("match", "Port"): PORT, ("hardened", "Port"): PORT,
    ("default", "PermitRootLogin"): PROHIBIT,
    ("default", "ClientAliveInterval"): INTERVAL, ("weak", "ClientAliveInterval"): INTERVAL,
    ("default", "MaxSessions"): SESSIONS,
    ("default", "LoginGraceTime"): GRACE,
    ("weak", "PrintLastLog"): INFORMATION, ("weak", "FingerprintHash"): INFORMATION,
    ("weak", "UseDNS"): "names of clients in the log are as forgeable as their DNS, and admit nobody unless a rule names hosts",
    ("match", "PermitRootLogin"): IN_MATCH, ("match", "AllowTcpForwarding"): IN_MATCH, ("match", "X11Forwarding"): IN_MATCH,
    ("match", "MaxAuthTries"): IN_MATCH,
}


def inside(folder):
    """In the namespaces: sshd, lynis and ssh-check over /etc/ssh = folder/ssh."""
    run("mount", "--bind", folder / "ssh", "/etc/ssh")
    run("ip", "link", "set", "lo", "up")
    os.makedirs("/run/sshd", exist_ok=True)
    with open(folder / "sshd.log", "wb") as log, subprocess.Popen(["/usr/sbin/sshd", "-D"], stdout=log, stderr=log) as daemon:
        try:
            wanted = "SSH-7402,SSH-7404,SSH-7406,SSH-7408"
            run("lynis", "audit", "system", "--quick", "--quiet", "--no-colors", "--tests", wanted, "--logfile", folder / "log",
                "--report-file", folder / "report", check=False, stdin=subprocess.DEVNULL)
            with open(folder / "answer", "wb") as answer:
                subprocess.run([BIN / "culprit-agent", "ssh-check", "--json"], stdout=answer, check=False)
        finally:
            daemon.terminate()


def look(name, text, work):
    """What lynis suggests, and our findings with their severity."""
    folder = work / name
    (folder / "ssh/sshd_config.d").mkdir(parents=True)
    (folder / "ssh/sshd_config").write_text("UsePAM no\n" + text)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "ssh/ssh_host_ed25519_key")
    run("unshare", "-mnpf", "--mount-proc", sys.executable, __file__, folder)
    rows = [line.split("|") for line in (folder / "report").read_text().splitlines() if line.startswith("suggestion[]=SSH-7408")]
    suggested = {row[2].split()[0] for row in rows}
    check("openssh_daemon_running=1" in (folder / "report").read_text(), f"{name}: lynis saw no sshd\n{(folder / 'sshd.log').read_text()}")
    found = {}
    for finding in json.loads((folder / "answer").read_text())["findings"]:
        if finding["severity"] != "info" and finding["id"].startswith("cfg."):
            keywords = [e["text"].split()[0].lower() for e in finding["evidence"] if e["text"]]
            found.setdefault(finding["id"], []).append((finding, keywords))
    return suggested, found


def compare(name, suggested, found):
    check(suggested <= set(SAME), f"{name}: lynis tests what the table lacks: {suggested - set(SAME)}")
    known = OURS_ALONE | {check_id for check_id in SAME.values() if check_id}
    check(set(found) <= known, f"{name}: what is not in the table: {set(found) - known}")
    weaker = {k for _, keywords in found.get("cfg.match_weaker", []) for k in keywords}
    differ = set()
    for option, check_id in SAME.items():
        ours = check_id in found or option.lower() in weaker
        if ours != (option in suggested):
            differ.add(option)
    expected = {option for host, option in DIFFERENCES if host == name}
    check(differ == expected, f"{name}: not explained {sorted(differ - expected)}, explained and not there {sorted(expected - differ)}")
    agreed = len(SAME) - len(differ)
    note(f"{name}: {agreed} of {len(SAME)} options judged alike, {len(differ)} differences explained, "
         f"{len(set(found) & OURS_ALONE)} checks that lynis does not have")


def main():
    if len(sys.argv) == 2:
        inside(pathlib.Path(sys.argv[1]))
        return 0
    if os.geteuid() != 0 or not shutil.which("lynis"):
        note("needs root and lynis")
        return SKIP
    with tempfile.TemporaryDirectory() as work:
        for name, text in HOSTS.items():
            suggested, found = look(name, text, pathlib.Path(work))
            compare(name, suggested, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
