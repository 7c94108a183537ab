# SPDX-License-Identifier: Apache-2.0
"""Debian's sshd in a namespace of a test, with accounts, /dev/log and an authentication log of its own: those of the machine are not touched."""
import os
import pathlib
import shlex
import subprocess

from harness import check, run, wait_until

PORT = 2222
PASSWORD = "correct horse 7"
# What rsyslog does with /dev/log: the name of the host goes between the time and the tag.
SYSLOG = r"""
import os, re, socket, sys
path, log = sys.argv[1:]
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind(path)
os.chmod(path, 0o666)
while True:
    text = re.sub(rb"^<\d+>", b"", sock.recv(65536)).rstrip(b"\n\0")
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    os.write(out, text[:16] + b"testhost " + text[16:] + b"\n")
    os.close(out)
"""
START = r"""
set -e
cd "$1"
mount -t tmpfs -o mode=0755 culprit-test dev
for node in null zero random urandom tty; do : > dev/$node; mount --bind /dev/$node dev/$node; done
mkdir -m 1777 dev/shm; mkdir dev/pts; mount -t devpts -o newinstance,ptmxmode=0666,gid=5 culprit-test dev/pts; ln -s pts/ptmx dev/ptmx
if [ -d journal ]; then
    mount -t tmpfs culprit-test /run/systemd; mount -t tmpfs culprit-test /run/log
    mkdir -p /run/systemd/journal /run/log/journal
    mount -t cgroup2 culprit-test /sys/fs/cgroup  # `ip netns exec` has a bare /sys
    mount --bind journal /run/log/journal
    ln -s /run/systemd/journal/dev-log dev/log
else
    ln -s "$1/log.socket" dev/log
fi
mount --rbind dev /dev
for file in passwd shadow group sudoers; do mount --bind etc/$file /etc/$file; done
shift
exec "$@"
"""


class SshHost:
    """With `journal` systemd's journald has /dev/log, and writes to dir/journal. Accounts alice (61001) and bob (61002) with a password and alice's key, and root with the key; `alice` may be reached as user@address."""

    def __init__(self, rig, inside, outside, journal=False):
        self.rig, self.inside, self.outside = rig, inside, outside
        self.dir = rig.dir / "sshd"
        self.log = self.dir / "auth.log"
        for name in ("dev", "etc", "home", "home/alice", "home/bob", "keys"):
            (self.dir / name).mkdir(parents=True)
        for name in ("host", "client", "other"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.dir / "keys" / name)
        self.make_accounts()
        self.write_configurations()
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        if journal:
            for path in (self.dir / "journal", pathlib.Path("/run/systemd"), pathlib.Path("/run/log")):
                path.mkdir(exist_ok=True)
            self.journald = rig.spawn(*inside.command("sh", "-c", START, "sh", self.dir, "/lib/systemd/systemd-journald"), log="journald.log")
            wait_until("journald's file", lambda: list((self.dir / "journal").glob("*/system.journal")))
            wait_until("journald's socket", lambda: run("nsenter", "-t", self.journald.pid, "-m", "test", "-S", "/dev/log"))
            return
        self.journald = None
        rig.spawn("python3", "-c", SYSLOG, self.dir / "log.socket", self.log, log="syslog.log")
        wait_until("the log's socket", lambda: (self.dir / "log.socket").exists())
        self.log.touch()

    def make_accounts(self):
        secret = run("openssl", "passwd", "-6", PASSWORD).stdout.strip()
        extra = {"passwd": "", "shadow": "", "group": ""}
        for name, uid in (("alice", 61001), ("bob", 61002)):
            home = self.dir / "home" / name
            extra["passwd"] += f"{name}:x:{uid}:{uid}::{home}:/bin/bash\n"
            extra["shadow"] += f"{name}:{secret}:19000:0:99999:7:::\n"
            extra["group"] += f"{name}:x:{uid}:\n"
            keys = home / ".ssh" / "authorized_keys"
            keys.parent.mkdir(mode=0o700)
            keys.write_text((self.dir / "keys/client.pub").read_text())
            for path in (home, keys.parent, keys):
                os.chown(path, uid, uid)
        for name, text in extra.items():
            path = self.dir / "etc" / name
            path.write_text(pathlib.Path("/etc", name).read_text() + text)
            path.chmod(0o600 if name == "shadow" else 0o644)
        (self.dir / "etc/sudoers").write_text("root ALL=(ALL) ALL\nalice ALL=(ALL) NOPASSWD: ALL\n")
        (self.dir / "etc/sudoers").chmod(0o440)
        (self.dir / "keys/root_keys").write_text((self.dir / "keys/client.pub").read_text())

    def write_configurations(self):
        (self.dir / "sshd_config").write_text(
            f"Port {PORT}\nHostKey {self.dir}/keys/host\nPidFile none\nUsePAM yes\nStrictModes no\nPasswordAuthentication yes\nPermitRootLogin yes\n"
            f"GatewayPorts clientspecified\nLogLevel VERBOSE\nMaxAuthTries 6\nPrintMotd no\nSubsystem sftp /usr/lib/openssh/sftp-server\n"
            f"Match User root\n  AuthorizedKeysFile {self.dir}/keys/root_keys\n")
        (self.dir / "ssh_config").write_text(
            "StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\nIdentitiesOnly yes\nExitOnForwardFailure yes\n")
        (self.dir / "jump_config").write_text((self.dir / "ssh_config").read_text() +
                                              f"Port {PORT}\nIdentityFile {self.dir}/keys/client\nBatchMode yes\n")
        (self.dir / "askpass").write_text(f"#!/bin/sh\necho {shlex.quote(PASSWORD)}\n")
        (self.dir / "askpass").chmod(0o755)
        (self.dir / "askpass-wrong").write_text("#!/bin/sh\necho wrong\n")
        (self.dir / "askpass-wrong").chmod(0o755)

    def start(self):
        sshd = ["/usr/sbin/sshd", "-D", "-f", self.dir / "sshd_config"]
        if self.journald:
            command = ["nsenter", "-t", self.journald.pid, "-m", "-n", *sshd]
        else:
            command = self.inside.command("sh", "-c", START, "sh", self.dir, *sshd)
        self.sshd = self.rig.spawn(*command, log="sshd.log")
        wait_until("sshd listening", lambda: f":{PORT}" in self.inside.run("ss", "-ltn").stdout)
        return self.sshd

    def within(self, *command, **options):
        """Runs a command where sshd is: same accounts, same /dev/log."""
        return run("nsenter", "-t", self.sshd.pid, "-m", "-n", f"--wd={self.dir}", *command, **options)

    def key(self, name="client"):
        return ["-i", self.dir / "keys" / name, "-o", "BatchMode=yes"]

    def fingerprint(self, name="client"):
        return run("ssh-keygen", "-lf", self.dir / "keys" / f"{name}.pub").stdout.split()[1]

    def command(self, user, *arguments, program="ssh", options=()):
        target = [f"{user}@{self.inside.v4}"] if user else []
        port = "-P" if program in ("sftp", "scp") else "-p"
        return self.outside.command(program, "-F", self.dir / "ssh_config", port, PORT, *options, *target, *arguments)

    def ssh(self, user, *arguments, options=(), password=None, check=True):
        """Runs to its end; returns what it printed."""
        environment = dict(os.environ)
        if password is not None:
            environment.update(SSH_ASKPASS=str(self.dir / password), SSH_ASKPASS_REQUIRE="force")
            options = [*options, "-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1"]
        return run(*self.command(user, *arguments, options=options), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment,
                   check=check)

    def hold(self, user, *options):
        """A client that stays, for what it forwards; ended by stop()."""
        client = self.rig.spawn(*self.command(user, options=[*self.key(), "-N", *options]))
        check(client.alive(), client.tail())
        return client
