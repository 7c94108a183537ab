#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our parser of sshd_config against `sshd -T -C` itself, on generated configurations.

    tests/bench/sshd_differential.py --count 5000        # as root, about 20 ms each

Compared are the whole dump, whether it is refused and by which line, and, where a value names the line that it stands
in, that our winning line is that one. A mismatch is shrunk, line by line, to the smallest that still mismatches.
Exit status: 0 no mismatch, 1 a mismatch, 77 there is no sshd here.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

BIN = pathlib.Path(os.environ.get("CULPRIT_BIN", pathlib.Path(__file__).resolve().parents[2] / "build/dev/bin"))
SSHD = "/usr/sbin/sshd"
FLAGS = """PasswordAuthentication PubkeyAuthentication KbdInteractiveAuthentication ChallengeResponseAuthentication
PermitEmptyPasswords X11Forwarding AllowAgentForwarding DisableForwarding PermitTTY PermitUserRC HostbasedAuthentication
StreamLocalBindUnlink X11UseLocalhost ExposeAuthInfo GSSAPIAuthentication""".split()
GLOBAL_FLAGS = "StrictModes UsePAM TCPKeepAlive PrintMotd UseDNS IgnoreUserKnownHosts PrintLastLog GSSAPIKeyExchange".split()
INTS = "MaxAuthTries MaxSessions ClientAliveCountMax X11DisplayOffset RequiredRSASize".split()
CHOICES = {"PermitRootLogin": ["yes", "no", "prohibit-password", "without-password", "forced-commands-only"],
           "AllowTcpForwarding": ["yes", "no", "local", "remote", "all"], "GatewayPorts": ["yes", "no", "clientspecified"],
           "AllowStreamLocalForwarding": ["yes", "no", "local"], "IgnoreRhosts": ["yes", "no", "shosts-only"],
           "PermitTunnel": ["yes", "no", "point-to-point", "ethernet"], "LogLevel": ["INFO", "verbose", "DEBUG1", "QUIET"],
           "IPQoS": ["af21 cs1", "lowdelay", "0x20 none", "ef le"], "PubkeyAuthOptions": ["none", "touch-required", "verify-required touch-required"]}
ALGORITHMS = {"Ciphers": ["aes256-ctr", "aes128-cbc", "3des-cbc", "chacha20-poly1305@openssh.com"],
              "MACs": ["hmac-sha2-256", "hmac-sha1", "hmac-md5"], "KexAlgorithms": ["curve25519-sha256", "diffie-hellman-group1-sha1"],
              "HostKeyAlgorithms": ["ssh-ed25519", "ssh-rsa", "ecdsa-*"], "PubkeyAcceptedAlgorithms": ["ssh-ed25519", "ssh-rsa", "ssh-dss", "ecdsa-*"],
              "CASignatureAlgorithms": ["ssh-ed25519", "ssh-rsa"]}
USERS, GROUPS = ["root", "nobody", "daemon", "ghost"], ["root", "daemon", "nogroup", "absent"]
ADDRESSES = ["192.0.2.7", "10.1.2.3", "127.0.0.1", "2001:db8::7"]


class Writer:
    """Lines of one tree of files; `tags` has what a value says about its own line."""

    def __init__(self, rng, folder):
        self.rng, self.folder, self.number = rng, folder, 1000

    def tag(self):
        self.number += 1
        return self.number

    def dress(self, name, value):
        rng = self.rng
        name = rng.choice([name, name, name.lower(), name.upper()])
        form = rng.randrange(14)
        if form == 0:
            return f"{name}={value}"
        if form == 1:
            return f"  {name} = {value}"
        if form == 2:
            return f"{name}\t{value}  "
        if form == 3:
            return f'"{name}" {value}'
        if form == 4 and " " not in value:
            return f'{name} "{value}"'
        if form == 5:
            return f"{name} {value} # note"
        if form == 6:
            return f"{name} {value}\r"
        return f"{name} {value}"

    def algorithms(self, name):
        picked = self.rng.sample(ALGORITHMS[name], self.rng.randint(1, 2))
        return self.rng.choice(["", "", "+", "-", "^"]) + ",".join(picked)

    def setting(self, in_match):
        rng = self.rng
        kind = rng.randrange(12 if in_match else 16)
        if kind < 3:
            return self.dress(rng.choice(FLAGS), rng.choice(["yes", "no", "YES"]))
        if kind == 3:
            return self.dress(rng.choice(INTS), str(self.tag()))
        if kind == 4:
            name = rng.choice(list(CHOICES))
            return self.dress(name, rng.choice(CHOICES[name]))
        if kind == 5:
            name = rng.choice(["AllowUsers", "DenyUsers", "AllowGroups", "DenyGroups", "AcceptEnv"])
            return self.dress(name, " ".join(f"{rng.choice(USERS)}{self.tag()}" for _ in range(rng.randint(1, 3))))
        if kind == 6:
            return self.dress(rng.choice(["Banner", "TrustedUserCAKeys", "RevokedKeys", "AuthorizedPrincipalsFile", "ChrootDirectory"]),
                              rng.choice([f"/x/{self.tag()}", f"rel{self.tag()}", "none", f"~/f{self.tag()}"]))
        if kind == 7:
            return self.dress("AuthorizedKeysFile", " ".join(f"k/%u.{self.tag()}" for _ in range(rng.randint(1, 3))))
        if kind == 8:
            return self.dress(*rng.choice([("SetEnv", f"A{self.tag()}=b C=d"), ("PermitOpen", f"h{self.tag()}:22 [::1]:80"),
                                           ("PermitListen", "8080 localhost:*"), ("PermitOpen", "any"), ("PermitListen", "none"),
                                           ("AuthenticationMethods", "publickey,password publickey"), ("AuthenticationMethods", "any"),
                                           ("ChannelTimeout", "session:*=5m"), ("LogVerbose", f"f{self.tag()}.c:*")]))
        if kind == 9:
            return self.dress(*rng.choice([("ClientAliveInterval", "1h30"), ("RekeyLimit", "1G 1h"), ("RekeyLimit", "default none"),
                                           ("RekeyLimit", "512k"), ("StreamLocalBindMask", "0117"), ("UnusedConnectionTimeout", "5m"),
                                           ("UnusedConnectionTimeout", "none"), ("ClientAliveInterval", str(self.tag()))]))
        if kind == 10:
            return f"ForceCommand /bin/c{self.tag()} \"a b\" # kept"
        if kind == 11:
            return self.dress(*rng.choice([("PubkeyAcceptedAlgorithms", self.algorithms("PubkeyAcceptedAlgorithms")),
                                           ("CASignatureAlgorithms", self.algorithms("CASignatureAlgorithms"))]))
        if kind == 12:
            return self.dress(rng.choice(GLOBAL_FLAGS), rng.choice(["yes", "no"]))
        if kind == 13:
            name = rng.choice(list(ALGORITHMS))
            return self.dress(name, self.algorithms(name))
        if kind == 14:
            return self.dress(*rng.choice([("Port", str(self.tag())), ("ListenAddress", "192.0.2.1"), ("ListenAddress", "[::1]:2222"),
                                           ("ListenAddress", "::"), ("AddressFamily", "any"), ("LoginGraceTime", "2m"),
                                           ("LoginGraceTime", str(self.tag()))]))
        return self.dress(*rng.choice([("MaxStartups", "5"), ("MaxStartups", "10:30:60"), ("PerSourceMaxStartups", "4"),
                                       ("PerSourceNetBlockSize", "24:56"), ("Compression", "delayed"), ("SyslogFacility", "local1"),
                                       ("FingerprintHash", "md5"), ("VersionAddendum", "x y # z"), ("PermitUserEnvironment", "LANG,LC_*"),
                                       ("Subsystem", f"s{self.tag()} /x -a b"), ("PidFile", "p"), ("Protocol", "2"), ("UseLogin", "no")]))

    def broken(self):
        return self.rng.choice(["PasswordAuthentication", "PasswordAuthentication no#c", "PermitTTY no yes", "Nonsense 1", 'Banner ""',
                                "MaxAuthTries -1", "Match Address 10.0.0.1/8", "Match", "Match all user root", "LoginGraceTime 1x",
                                "KexAlgorithms mlkem768x25519-sha256", "Banner 'x", "AllowUsers a@10.0.0.1/8", "Include", "RDomain x",
                                "AuthenticationMethods any publickey", "PermitOpen x", "IPQoS no", "MaxStartups 10:30", "Port 0"])

    def match(self):
        rng = self.rng
        parts = []
        for kind in rng.sample(range(6), rng.choice([1, 1, 1, 2])):
            names = ",".join(rng.choice(["", "", "!"]) + rng.choice(USERS if kind == 0 else GROUPS) for _ in range(rng.randint(1, 2)))
            parts.append(["User " + rng.choice([names, "*,!root", "r*", "ROOT"]), "Group " + names,
                          "Address " + rng.choice(["10.0.0.0/8", "192.0.2.*", "!10.0.0.0/8,*", "2001:db8::/32", "127.0.0.1,::1"]),
                          "Host " + rng.choice(["*.example.org", "A.example.ORG", "!b*,*"]), "LocalPort " + rng.choice(["22", "2222"]),
                          "LocalAddress " + rng.choice(["192.0.2.1", "10.0.0.0/8"])][kind])
        text = rng.choice(["Match all", *["Match " + " ".join(parts)] * 6])
        return text + rng.choice(["", "", "", " # why"])

    def file(self, depth):
        rng, lines, in_match = self.rng, [], False
        for _ in range(rng.randint(1, 9)):
            roll = rng.random()
            if roll < 0.16:
                lines.append(self.match())
                in_match = True
            elif roll < 0.26 and depth < 2:
                name = f"inc{self.tag()}"
                for part in range(rng.randint(0, 2)):
                    (self.folder / f"{name}-{part}.conf").write_text("\n".join(self.file(depth + 1)), newline="")
                lines.append(f"Include {self.folder}/{name}{rng.choice(['-*.conf', '-?.conf', '-[0-9].conf'])}")
            elif roll < 0.275:
                lines.append(self.broken())
            elif roll < 0.33:
                lines.append(rng.choice(["# note", "", "   ", "\f"]))
            else:
                lines.append(self.setting(in_match))
        return lines


class Pair:
    def __init__(self):
        self.ours = subprocess.Popen([BIN / "sshd_settings"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self):
        self.ours.stdin.close()
        self.ours.wait()

    def mismatch(self, folder, context):
        """What differs for folder/main, or None."""
        main, (user, host, addr, laddr, lport) = folder / "main", context
        spec = f"user={user},host={host},addr={addr},laddr={laddr},lport={lport}"
        done = subprocess.run([SSHD, "-T", "-f", main, "-C", spec], cwd=folder, capture_output=True, text=True, errors="replace")
        self.ours.stdin.write("\t".join([str(main), str(folder), user, host, addr, laddr, str(lport)]) + "\n")
        self.ours.stdin.flush()
        mine = json.loads(self.ours.stdout.readline())
        refused = done.returncode != 0
        said = "\n".join(line for line in done.stderr.splitlines() if " Deprecated option" not in line and " Unsupported option" not in line)
        if refused != (mine["error"] is not None):
            return f"sshd: exit {done.returncode} {done.stderr.strip()[:300]}\nours: {mine['error']}"
        if refused:
            found = re.search(r"^(\S+?):? line (\d+)", said, re.M)
            if found and not said.startswith("reprocess") and int(found.group(2)) != mine["error"]["line"]:
                return f"line of the error\nsshd: {done.stderr.strip()[:300]}\nours: {mine['error']}"
            return None
        theirs = sorted(done.stdout.splitlines())
        if theirs != sorted(mine["dump"]):
            return f"only sshd: {sorted(set(theirs) - set(mine['dump']))}\nonly ours: {sorted(set(mine['dump']) - set(theirs))}"
        return self.wrong_line(mine, folder)

    @staticmethod
    def wrong_line(mine, folder):
        """A value with a number above 1000 stands in one line of one file only: the winner must be that line. The folder's name is chance."""
        for keyword, values in mine["winners"].items():
            for text, file, line in values:
                if not file or keyword.startswith(("rekeylimit", "listenaddress")) or "@openssh" in text:
                    continue
                lines = pathlib.Path(file).read_bytes().decode().split("\n")
                for number in re.findall(r"(?<!\d)1\d{3}(?!\d)", text.replace(str(folder), "")):
                    if number not in lines[line - 1]:
                        return f"{keyword} {text}: not in {file}:{line}"
        return None


def shrink(pair, folder, context):
    """Leaves out lines while the mismatch stays."""
    progress = True
    while progress:
        progress = False
        for path in sorted(folder.iterdir()):
            lines = path.read_bytes().decode().split("\n")
            for i in range(len(lines)):
                path.write_text("\n".join(lines[:i] + lines[i + 1:]), newline="")
                if pair.mismatch(folder, context):
                    progress = True
                    break
                path.write_text("\n".join(lines), newline="")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not os.path.exists(SSHD) or os.geteuid() != 0:
        print("needs sshd and root")
        return 77
    os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    pair, failures, refused = Pair(), 0, 0
    for i in range(options.count):
        rng = random.Random(options.seed * 1_000_000 + i)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="sshd-diff-"))
        try:
            (folder / "main").write_text("\n".join(Writer(rng, folder).file(0)), newline="")
            context = (rng.choice(USERS), rng.choice(["a.example.org", "b.example.net"]), rng.choice(ADDRESSES),
                       rng.choice(["192.0.2.1", "10.0.0.1"]), rng.choice([22, 2222]))
            if pair.mismatch(folder, context):
                failures += 1
                shrink(pair, folder, context)
                print(f"--- seed {options.seed}, number {i}, {context}")
                for path in sorted(folder.iterdir()):
                    print(f"{path.name}: {path.read_bytes().decode()!r}")
                print(pair.mismatch(folder, context), flush=True)
                if failures >= 5:
                    break
        finally:
            shutil.rmtree(folder)
    pair.close()
    print(f"{i + 1} configurations, {failures} mismatches")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
