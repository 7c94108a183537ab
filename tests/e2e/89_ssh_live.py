#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An intruder who wants to stay, seen from the collector: a key is added and locked, a drop-in weakens sshd, a second sshd listens,
files are replaced, moved and taken away. Each step arrives, with the process that did it and its audit session; the last line says how
long they took (2 s is the aim; a machine that is busy with other things may take longer). The host's own /etc/ssh is covered in a mount
namespace, and root has another home there."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import SKIP, Rig, check, free_port, note, run, wait_until

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl intruder"
NOT_SET = 4294967295
AIM, PATIENCE = 2.0, 20.0  # seconds
TOOK = []


class Intruder:
    """A shell with a login session of its own."""

    def __init__(self):
        self.shell = subprocess.Popen(["bash", "-c", "echo 0 > /proc/self/loginuid; exec bash -s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.session = int(self.do("cat /proc/self/sessionid"))

    def do(self, command):
        """Returns when it is done, with what it said."""
        self.shell.stdin.write(f"{command}\necho; echo DONE $?\n")
        self.shell.stdin.flush()
        said = []
        for line in self.shell.stdout:
            if line.startswith("DONE "):
                check(line == "DONE 0\n", f"{command}: {line}{''.join(said)}")
                return "".join(said).strip()
            said.append(line)
        raise AssertionError(f"the shell ended: {''.join(said)}")

    def end(self):
        self.shell.stdin.close()
        self.shell.wait()


def changes(rig):
    return [row for host in rig.query("ssh", "--changes", 200) for row in host["changes"]]


def seen(rig, what, path, kind, **more):
    """Waits for the change, and returns it."""
    begin = time.monotonic()

    def there():
        for row in changes(rig):
            if (row["path"], row["kind"]) == (path, kind) and all(row[key] == value for key, value in more.items()):
                return row
        return None
    row = wait_until(f"{what} at the collector", there, PATIENCE, 0.02)
    TOOK.append(time.monotonic() - begin)
    note(f"{what}: seen after {TOOK[-1]:.2f} s, by {row['command_line'] or row['comm']}")
    return row


def by(row, command, intruder):
    check(command in row["command_line"], f"not by {command}: {row}")
    check(row["process_id"] and row["confidence"] == "named", f"who did it is not sure: {row}")
    if intruder.session != NOT_SET:
        check(row["audit_session"] == intruder.session, f"session {row['audit_session']} is not {intruder.session}")


def steps(rig, intruder, home):
    keys, drop_in = f"{home}/.ssh/authorized_keys", "/etc/ssh/sshd_config.d/99-tuning.conf"
    intruder.do(f"mkdir -m 700 {home}/.ssh")
    by(seen(rig, "a folder", f"{home}/.ssh", "created"), "mkdir", intruder)
    intruder.do(f"echo '{KEY}' >> {keys}")
    row = seen(rig, "a key", keys, "created")
    by(row, "bash", intruder)
    check(row["diff"] == f"+{KEY}\n", f"diff: {row['diff']!r}")
    (key,) = rig.query("keys", "--placed", "--fingerprint", run("ssh-keygen", "-lf", keys).stdout.split()[1])
    check((key["key"]["user"], key["key"]["accepted"], key["hosts"]) == ("root", True, 1), f"the key: {key}")

    intruder.do(f"chattr +i {keys}")
    row = seen(rig, "a lock", keys, "attributes")
    check("chattr" in row["command_line"] and row["after"]["immutable"], f"the lock: {row}")
    if intruder.session != NOT_SET:
        check(row["audit_session"] == intruder.session, f"the session of the lock: {row}")
    findings = [f["id"] for f in rig.query("ssh")[0]["posture"]["findings"] if f["severity"] == 4]
    check("key.immutable" in findings, f"the lock is no finding: {findings}")

    intruder.do(f"sh -c 'echo PasswordAuthentication yes > {drop_in}; true'")
    row = seen(rig, "a drop-in", drop_in, "created")
    by(row, "sh -c", intruder)
    check(row["diff"] == "+PasswordAuthentication yes\n" and row["after"]["sha256"], f"diff: {row}")

    port = free_port()
    intruder.do(f"/usr/sbin/sshd -p {port} -o PidFile={rig.dir}/second.pid")
    try:
        row = seen(rig, "a second sshd", "/usr/sbin/sshd", "server_started", listens=[f"[::]:{port}", f"0.0.0.0:{port}"])
        by(row, "sshd", intruder)
        (host,) = rig.query("ssh")
        check(any(f["id"] == "proc.second_sshd" for f in host["posture"]["findings"]), "the second sshd is no finding")
    finally:
        os.kill(int(wait_until("its pid", (rig.dir / "second.pid").read_text, 5)), signal.SIGTERM)
    seen(rig, "its end", "/usr/sbin/sshd", "server_ended")

    intruder.do(f"chattr -i {keys}")
    intruder.do(f"sed -i s/intruder/admin/ {keys}")
    row = seen(rig, "a key renamed by a file that replaced the other", keys, "changed")
    by(row, "sed -i", intruder)
    check(row["diff"].count("\n") == 2, f"diff: {row['diff']!r}")
    intruder.do(f"rm {drop_in}")
    by(seen(rig, "the drop-in taken away", drop_in, "removed"), f"rm {drop_in}", intruder)
    intruder.do(f"chmod 666 {keys}")
    row = seen(rig, "a mode", keys, "attributes", before={**row["after"]})
    by(row, "chmod 666", intruder)


def secrets_stay(rig, intruder, home):
    """Neither password hashes nor private keys leave the host."""
    intruder.do(f"ssh-keygen -q -t ed25519 -N '' -f {home}/.ssh/id_ed25519")
    row = seen(rig, "a private key", f"{home}/.ssh/id_ed25519", "created")
    check(not row["diff"] and row["after"]["sha256"], f"a private key in evidence: {row}")


def session_tells(rig, intruder, home):
    """`culprit session` names what that session changed, and nothing that another did."""
    if intruder.session == NOT_SET:
        return
    keys = f"{home}/.ssh/authorized_keys"
    session = wait_until("the session", lambda: [r for r in rig.query("logins", "--since", "1h") if r["audit_session"] == intruder.session][0], PATIENCE)
    answer = rig.query("session", session["session_id"])[0]
    members = {member["process"]["process_id"] for member in answer["processes"]}
    told = [(change["path"], change["kind"]) for change in answer["ssh_changes"]]
    check({(keys, "created"), (keys, "attributes"), (keys, "changed"), (f"{home}/.ssh", "created")} <= set(told), f"its changes: {told}")
    check(all(change["process_id"] in members for change in answer["ssh_changes"]), "a change by another process")
    check(all(a["at_time"] <= b["at_time"] for a, b in zip(answer["ssh_changes"], answer["ssh_changes"][1:])), "not in order")
    text = rig.culprit("session", session["session_id"])
    check("It changed of SSH:" in text and keys in text and "chattr" in text, f"culprit session says:\n{text}")
    note(f"culprit session: {len(told)} changes of SSH by it")


def quiet(rig, home):
    """Nothing happens, nothing is looked at."""
    looks = lambda: rig.agent_status()["counters"]["looks at SSH"]  # noqa: E731
    before = [looks()]

    def settled():  # the last step may have looks to come
        time.sleep(0.5)
        before.append(looks())
        return before[-1] == before[-2]
    wait_until("no more looks", settled, PATIENCE)
    for _ in range(50):
        run("ssh-keygen", "-lf", home / ".ssh/authorized_keys")
    check(looks() == before[-1], "reading files makes the agent look again")
    for host in ("", "--wide"):
        text = rig.culprit("ssh", *([host] if host else []))
        check("PasswordAuthentication yes" in text and "audit session" in text, f"culprit ssh says:\n{text}")


def inside(folder):
    home = folder / "root"
    for name, place in (("ssh", "/etc/ssh"), ("passwd", "/etc/passwd")):
        run("mount", "--bind", folder / name, place)
    os.makedirs("/run/sshd", exist_ok=True)
    with Rig("ssh-live") as rig:
        rig.start_collector()
        rig.start_agent()
        first = rig.spawn("/usr/sbin/sshd", "-D", "-p", free_port(), log="sshd.log")
        wait_until("the host's own sshd", lambda: any(s["pid"] == first.pid for s in rig.query("ssh")[0]["posture"]["servers"]), 20)
        intruder = Intruder()
        try:
            steps(rig, intruder, home)
            secrets_stay(rig, intruder, home)
            session_tells(rig, intruder, home)
            quiet(rig, home)
            note(f"{sum(t <= AIM for t in TOOK)} of {len(TOOK)} within {AIM} s, the last after {max(TOOK):.2f} s")
        finally:
            subprocess.run(["chattr", "-i", home / ".ssh/authorized_keys"], check=False, stderr=subprocess.DEVNULL)
            intruder.end()
    return 0


def main():
    if len(sys.argv) == 2:
        return inside(pathlib.Path(sys.argv[1]))
    if os.geteuid() != 0 or not shutil.which("sshd", path="/usr/sbin"):
        note("needs root and sshd")
        return SKIP
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        (folder / "root").mkdir(mode=0o700)
        (folder / "passwd").write_text(f"root:x:0:0:root:{folder}/root:/bin/bash\nsshd:x:103:65534::/run/sshd:/usr/sbin/nologin\n"
                                       "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
        (folder / "ssh/sshd_config.d").mkdir(parents=True)
        (folder / "ssh/sshd_config").write_text("Include /etc/ssh/sshd_config.d/*.conf\nPasswordAuthentication no\n")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "ssh/ssh_host_ed25519_key")
        return subprocess.run(["unshare", "-m", sys.executable, __file__, folder], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
