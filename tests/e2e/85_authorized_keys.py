#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Lines of authorized_keys and what ssh-check says of them, held against real logins: sshd answers on a pipe (ssh -o ProxyCommand="sshd -i"),
so there is no port. Each case has files of its own; ssh-check's "accepted" has to be what happens."""
import contextlib
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

from harness import BIN, check, note, run

SSHD = "/usr/sbin/sshd"


def keys(folder):
    """Name -> (private file, type, base64)."""
    made = {}
    for name, kind in (("ed", ("ed25519",)), ("other", ("ed25519",)), ("rsa", ("rsa", "-b", "2048")), ("small", ("rsa", "-b", "1024")),
                       ("ec", ("ecdsa", "-b", "256")), ("ec5", ("ecdsa", "-b", "521")), ("dsa", ("dsa",))):
        path = folder / name
        run("ssh-keygen", "-q", "-t", kind[0], *kind[1:], "-N", "", "-C", "", "-f", path)
        made[name] = (path, *path.with_suffix(".pub").read_text().split()[:2])
    return made


def cases(made):
    """(name, key that logs in, bytes of the file, lines of sshd_config, what to do to the files)."""
    def of(name):
        return f"{made[name][1]} {made[name][2]}"

    ed, past, future = of("ed"), "20200101", "20991231"
    blob = made["ed"][2]
    lines = {
        "bare": ed, "comment": ed + " a b  c", "restrict": "restrict " + ed, "case": "RESTRICT,NO-PTY " + ed,
        "tab": "\t" + ed, "blanks": "   " + ed, "cr": ed + "\r", "trailing comma": "no-pty, " + ed, "environment": 'environment="A=b" ' + ed,
        "future": f'expiry-time="{future}" ' + ed, "future minute": f'expiry-time="{future}1200" ' + ed,
        "future utc": f'expiry-time="{future}120000Z" ' + ed, "past": f'expiry-time="{past}" ' + ed,
        "both times": f'expiry-time="{future}",expiry-time="{past}" ' + ed, "bad time": 'expiry-time="tomorrow" ' + ed,
        "bad month": 'expiry-time="20991331" ' + ed, "command": r'command="echo a \"ssh-rsa\" b" ' + ed, "two commands": 'command="a",command="b" ' + ed,
        "unknown": "unknownopt " + ed, "unknown value": 'unknown="x" ' + ed, "no value": "command " + ed, "unquoted": "command=ls " + ed,
        "open quote": 'command="ls ' + ed, "principals": 'principals="me" ' + ed, "authority": "cert-authority " + ed, "revoked": "@revoked " + ed,
        "bits": "256 " + ed, "blank before comma": "no-pty  ,restrict " + ed, "blank after comma": "no-pty, restrict " + ed,
        "type mismatch": f"ssh-rsa {blob}", "curve mismatch": f"ecdsa-sha2-nistp384 {made['ec'][2]}", "quoted blob": f'ssh-ed25519 "{blob}"',
        "type case": f"SSH-ED25519 {blob}", "short type": f"ed25519 {blob}", "cut blob": f"ssh-ed25519 {blob[:-4]}",
        "no blob": "ssh-ed25519", "bad letter": f"ssh-ed25519 {blob[:-1]}!", "more padding": f"ssh-ed25519 {blob}=", "wrong key": of("other"),
        "second line": of("other") + "\n" + ed, "after junk": "junk\n\n# c\n" + ed, "comment line": "# " + ed, "no newline": ed,
        "nul": "\0" + ed, "nul behind": ed + "\0junk", "blob and nul": f"ssh-ed25519 {blob[:20]}\0{blob[20:]}", "two options": "no-pty,no-user-rc " + ed,
        "double comma": "no-pty,,restrict " + ed, "leading comma": ",no-pty " + ed, "negated restrict": "no-restrict " + ed, "positive": "pty,agent-forwarding " + ed,
        "flag tail": "ptyx " + ed, "permitopen": 'permitopen="localhost:80" ' + ed, "permitopen star": 'permitopen="*:*" ' + ed,
        "permitopen v6": 'permitopen="[::1]:22" ' + ed, "permitopen no port": 'permitopen="localhost" ' + ed, "permitopen port 0": 'permitopen="a:0" ' + ed,
        "permitlisten bare": 'permitlisten="8080" ' + ed, "permitlisten name": 'permitlisten="x" ' + ed, "tunnel": 'tunnel="3" ' + ed,
        "tunnel any": 'tunnel="ANY" ' + ed, "tunnel bad": 'tunnel="x" ' + ed, "environment bad": 'environment="A" ' + ed,
        "environment name": 'environment="A-B=c" ' + ed, "touch": "no-touch-required,verify-required " + ed, "x11": "X11-Forwarding,no-x11-forwarding " + ed,
        "from any": 'from="*" ' + ed, "from bad list": 'from="10.0.0.1/8" ' + ed, "from twice": 'from="*",from="*" ' + ed, "escaped quote end": r'command="a\" ' + ed,
        "backslash": r'command="a\\" ' + ed, "tab between": f"ssh-ed25519\t{blob}\tc", "option tab": "no-pty\t" + ed,
    }
    table = [(name, "ed", text.encode(), "", None) for name, text in lines.items()]
    table += [(f"key {name}", name, of(name).encode(), "", None) for name in ("rsa", "ec", "ec5", "dsa", "small")]
    table += [("rsa by name", "rsa", f"rsa-sha2-256 {made['rsa'][2]}".encode(), "", None),
              ("rsa too short", "small", of("small").encode(), "RequiredRSASize 2048", None),
              ("algorithms", "ed", ed.encode(), "PubkeyAcceptedAlgorithms ecdsa-sha2-*", None),
              ("rsa by sha1 alone", "rsa", of("rsa").encode(), "PubkeyAcceptedAlgorithms rsa-sha2-512", None),
              ("dsa wanted", "dsa", of("dsa").encode(), "PubkeyAcceptedAlgorithms +ssh-dss", None),
              ("revoked key", "ed", ed.encode(), "RevokedKeys {folder}/revoked", lambda f: (f / "revoked").write_text(ed + "\n")),
              ("other revoked", "ed", ed.encode(), "RevokedKeys {folder}/revoked", lambda f: (f / "revoked").write_text(of("other") + "\n")),
              ("krl", "ed", ed.encode(), "RevokedKeys {folder}/krl", lambda f: run("ssh-keygen", "-q", "-k", "-f", f / "krl", made["ed"][0].with_suffix(".pub"))),
              ("no krl", "ed", ed.encode(), "RevokedKeys {folder}/nowhere", None),
              ("no keys", "ed", ed.encode(), "PubkeyAuthentication no", None),
              ("group may write", "ed", ed.encode(), "", lambda f: (f / "home/.ssh/authorized_keys").chmod(0o664)),
              ("all may write", "ed", ed.encode(), "", lambda f: (f / "home/.ssh/authorized_keys").chmod(0o646)),
              ("folder of all", "ed", ed.encode(), "", lambda f: (f / "home/.ssh").chmod(0o777)),
              ("home of a group", "ed", ed.encode(), "", lambda f: (f / "home").chmod(0o775)),
              ("not strict", "ed", ed.encode(), "StrictModes no", lambda f: (f / "home/.ssh").chmod(0o777)),
              ("another's", "ed", ed.encode(), "", lambda f: os.chown(f / "home/.ssh/authorized_keys", 12345, 12345)),
              ("unreadable", "ed", ed.encode(), "", lambda f: os.chown(f / "home/.ssh/authorized_keys", 0, 0)),
              ("root's, readable", "ed", ed.encode(), "", lambda f: (os.chown(f / "home/.ssh/authorized_keys", 0, 0), (f / "home/.ssh/authorized_keys").chmod(0o644))),
              ("a link", "ed", ed.encode(), "", lambda f: ((f / "home/.ssh/authorized_keys").rename(f / "home/k"), (f / "home/.ssh/authorized_keys").symlink_to("../k"))),
              ("a folder", "ed", b"", "", lambda f: ((f / "home/.ssh/authorized_keys").unlink(), (f / "home/.ssh/authorized_keys").mkdir())),
              ("elsewhere", "ed", ed.encode(), "AuthorizedKeysFile %h/keys", None),
              ("tokens", "ed", ed.encode(), "AuthorizedKeysFile {folder}/home/.ssh/%%_%u_%U",
               lambda f: (f / "home/.ssh/authorized_keys").rename(f / f"home/.ssh/%_{USER.pw_name}_{USER.pw_uid}")),
              ("second file", "ed", ed.encode(), "AuthorizedKeysFile .ssh/none .ssh/authorized_keys", None),
              ("none", "ed", ed.encode(), "AuthorizedKeysFile none", None)]
    return table


USER = pwd.struct_passwd(("culprit-keys", "x", 48017, 48017, "", "", "/bin/sh"))


def login(folder, key):
    """Whether sshd lets the key in: its answer to the offer, whatever becomes of the session."""
    command = ["ssh", "-F", "none", "-v", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
               "-o", "PubkeyAcceptedAlgorithms=+ssh-dss,ssh-rsa", "-o", "RequiredRSASize=1024",
               "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "PreferredAuthentications=publickey",
               "-o", f"ProxyCommand={SSHD} -i -e -f {folder}/sshd_config 2>>{folder}/sshd.log", f"{USER.pw_name}@x", "true"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
    check("Authenticated to" in done.stdout or "Permission denied" in done.stdout, f"the login says neither yes nor no:\n{done.stdout[-1500:]}")
    return "Authenticated to" in done.stdout


def judged(folder, config):
    done = subprocess.run([BIN / "culprit-agent", "ssh-check", "--json", "--config", config, "--user", USER.pw_name],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    check(done.stdout, f"ssh-check: {done.stderr}")
    return json.loads(done.stdout)["keys"]


def one(folder, made, case, host_key):
    name, key, text, config, prepare = case
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh/authorized_keys").write_bytes(text if name == "no newline" else text + b"\n")
    for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(path, USER.pw_uid, USER.pw_gid)
        path.chmod(0o600 if path.name == "authorized_keys" else 0o700)
    (folder / "sshd_config").write_text(config.format(folder=folder) + f"\nHostKey {host_key}\nPidFile none\nUsePAM no\n")
    if prepare:
        prepare(folder)
    accepted = login(folder, made[key][0])
    found = judged(folder, folder / "sshd_config")
    own = run("ssh-keygen", "-l", "-f", made[key][0]).stdout.split()
    mine = [k for k in found if k["fingerprint"] == own[1]]
    says = any(k["accepted"] and k["kind"] == "user key" for k in mine)
    why = "; ".join(k["refused"] for k in found)
    for record in mine:
        check(str(record["bits"]) == own[0], f"{name}: {record['bits']} bits, ssh-keygen says {own[0]}")
    return accepted, says, why


@contextlib.contextmanager
def account(root):
    """A user of this test alone, by a passwd of its own in a mount namespace: the host's is left as it is."""
    passwd, group, shadow = ((root / n) for n in ("passwd", "group", "shadow"))
    passwd.write_text(pathlib.Path("/etc/passwd").read_text() + f"{USER.pw_name}:x:{USER.pw_uid}:{USER.pw_gid}::{root}/case/home:/bin/sh\n")
    group.write_text(pathlib.Path("/etc/group").read_text() + f"{USER.pw_name}:x:{USER.pw_gid}:\n")
    shadow.write_text(pathlib.Path("/etc/shadow").read_text() + f"{USER.pw_name}:*:1::::::\n")
    for path in (passwd, group, shadow):
        run("mount", "--bind", path, f"/etc/{path.name}")
    yield


def main():
    if os.environ.get("CULPRIT_OWN_MOUNTS") != "1":
        return subprocess.run(["unshare", "-m", "--propagation", "private", sys.executable, __file__],
                              env={**os.environ, "CULPRIT_OWN_MOUNTS": "1"}, check=False).returncode
    os.makedirs("/run/sshd", exist_ok=True)
    wrong = []
    # Not below /tmp, which all may write: StrictModes goes up to the home directory only, but not every case stays below it.
    with tempfile.TemporaryDirectory(dir="/var/lib") as name:
        root = pathlib.Path(name)
        root.chmod(0o755)
        made = keys(root)
        host_key = root / "host"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key)
        with account(root):
            table = cases(made)
            yes = 0
            for case in table:
                folder = root / "case"
                folder.mkdir(mode=0o755)
                accepted, says, why = one(folder, made, case, host_key)
                yes += accepted
                if accepted != says:
                    log = (folder / "sshd.log").read_text()[-500:] if (folder / "sshd.log").exists() else ""
                    wrong.append(f"{case[0]}: sshd says {accepted}, ssh-check {says} ({why})\n{log}")
                shutil.rmtree(folder)
    check(not wrong, "\n".join(wrong))
    check(len(table) >= 60 and 20 <= yes <= len(table) - 20, f"{len(table)} cases, {yes} accepted")
    note(f"{len(table)} cases, {yes} accepted and {len(table) - yes} refused by sshd: ssh-check says the same of each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
