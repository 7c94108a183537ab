#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`culprit-agent triage` where nothing was installed. A relay over a real sshd has moved its bytes before triage starts: it names the process, the
login, the key, the destination and those bytes; so it does a program that runs from memory, and one that was deleted and outlived its login. Then, in
namespaces of its own, what an intruder leaves on a host is in its report and in a signed bundle that it wrote with no key of the host's."""
import importlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from harness import BIN, Rig, check, note, run, wait_until
from sshd_host import SshHost

SINK, LOCAL = 9100, 7001
FAR = "203.0.113.9"
RELAYED, MEMORY, DELETED = 3_000_000, 200_000, 400_000
SINK_SERVER = """
import socket, threading
listener = socket.create_server(("0.0.0.0", 9100), backlog=64)
def drain(conn):
    with conn:
        while conn.recv(1 << 20):
            pass
while True:
    threading.Thread(target=drain, args=(listener.accept()[0],), daemon=True).start()
"""
# Sends, says so, and keeps the connection.
HOLDER = """import os, socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.sendall(b"x" * int(sys.argv[3]))
with open(sys.argv[4] + ".part", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[4] + ".part", sys.argv[4])
time.sleep(300)
"""
FROM_MEMORY = """import os, sys
fd = os.memfd_create("kworker")
os.write(fd, open("/usr/bin/python3", "rb").read())
os.execv(f"/proc/self/fd/{fd}", ["kworker", *sys.argv[1:]])
"""
PRIVATE = r"""
set -e
log="$1"; etc="$2"; shift 2
mount -t tmpfs none /var/log; : > /var/log/auth.log; mount --bind "$log" /var/log/auth.log
for file in passwd shadow group; do mount --bind "$etc/$file" "/etc/$file"; done
exec "$@"
"""
snapshot = importlib.import_module("85_snapshot")


def plant_relay(rig, host):
    shared = rig.dir / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    done = {name: shared / name for name in ("relay", "memory", "deleted")}
    for path in done.values():
        rig.cleanups.append(lambda path=path: os.kill(int(path.read_text()), signal.SIGKILL))
    holder, memory = shared / "holder.py", shared / "memory.py"
    holder.write_text(HOLDER)
    memory.write_text(FROM_MEMORY)
    shutil.copy("/usr/bin/python3", shared / "kworkerd")
    host.ssh("alice", f"setsid nohup {shared}/kworkerd {holder} {FAR} {SINK} {DELETED} {done['deleted']} > /dev/null 2>&1 < /dev/null &",
             options=host.key())
    wait_until("the program that outlives its login", done["deleted"].exists)
    (shared / "kworkerd").unlink()
    host.hold("alice", "-L", f"{LOCAL}:{FAR}:{SINK}")
    wait_until("the client's port", lambda: f":{LOCAL}" in host.outside.run("ss", "-ltn").stdout)
    rig.spawn(*host.outside.command(sys.executable, holder, "127.0.0.1", LOCAL, RELAYED, done["relay"]))
    rig.spawn(*host.command("alice", f"exec python3 {memory} {holder} {FAR} {SINK} {MEMORY} {done['memory']}", options=host.key()))
    for path in done.values():
        wait_until(str(path), path.exists)


def triage(rig, host, *arguments):
    began = time.monotonic()
    done = run("unshare", "--mount", "--propagation", "private", "sh", "-c", PRIVATE, "sh", host.log, host.dir / "etc", BIN / "culprit-agent",
               "triage", "--no-metadata", *arguments, stderr=subprocess.PIPE, check=False)
    check(done.returncode == 0, f"triage: exit {done.returncode}: {done.stderr}\n{done.stdout}")
    note(f"triage {' '.join(arguments)}: {time.monotonic() - began:.0f} s")
    return done.stdout


def the_one(report, sent):
    """The process that had sent that much to the far place before the watch."""
    found = [(p, d) for p in report["processes"] for d in p["destinations"] if d["remote"] == f"{FAR}:{SINK}" and d["tx_payload_bytes"] == sent]
    check(len(found) == 1, f"{len(found)} processes sent {sent} bytes there: {json.dumps(report['processes'])[:4000]}")
    process, destination = found[0]
    check(destination["older_than_watch"] == 1 and destination["open"] == 1, f"{destination}")
    check(process["tx_bytes_before"] >= sent, f"{process['tx_bytes_before']} bytes before the watch, {sent} were sent")
    return process


def fact(report, kind, process):
    found = [f for f in report["facts"] if f["kind"] == kind and f["pid"] == process["pid"]]
    check(len(found) == 1, f"no {kind} of pid {process['pid']}: {report['facts']}")
    return found[0]["text"]


def check_login(process, host, by):
    login = process["login"]
    check((login["user"], login["address"], login["method"], login["key_fingerprint"]) == ("alice", host.outside.v4, "publickey", host.fingerprint()),
          f"{login}")
    check(by in login["by"], f"known by {login['by']!r}, not by {by!r}")
    return login


def check_relay(rig, host):
    report = json.loads(triage(rig, host, "--no-bundle", "--seconds", "6", "--json"))
    check(report["watched"], f"{report['gaps']}")
    relay = the_one(report, RELAYED)
    check(relay["exe"] == "/usr/sbin/sshd" and relay["user"] == "alice" and relay["older_than_watch"], f"{relay}")
    login = check_login(relay, host, "descent")
    check(login["audit_session"] is not None and not login["over"], f"{login}")
    check({link["kind"]: link["confidence"] for link in login["links"]} == {"process": "medium", "flow": "medium", "audit": "high"}, f"{login['links']}")
    text = fact(report, "ssh-relay", relay)
    for words in (f"{FAR}:{SINK}", f"alice from {host.outside.v4}", host.fingerprint()):
        check(words in text, f"no {words!r} in {text!r}")
    check(report["facts"][0]["kind"] == "ssh-relay" and "sshd connects out" in report["verdict"], f"{report['verdict']}")
    memory = the_one(report, MEMORY)
    fact(report, "memory-program", memory)
    check_login(memory, host, "descent and audit session")
    deleted = the_one(report, DELETED)
    fact(report, "deleted-program", deleted)
    check_login(deleted, host, "inferred")
    note("relay, memory program and the one that outlived its login: process, session, key, destination and bytes")
    page = triage(rig, host, "--no-bundle", "--seconds", "4")
    for words in (f"{FAR}:{SINK}", host.fingerprint(), "older than the watch", "ssh-relay", "What stands out", "audit session"):
        check(words in page, f"no {words!r} in:\n{page}")


# ---- In the box.

def start_servers():
    with open("/etc/passwd", "a", encoding="ascii") as passwd:
        passwd.write("sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n")
    os.mkdir("/run/sshd", 0o755)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/host_key")
    pathlib.Path("/etc/ssh/sshd_config").write_text("Port 22\nHostKey /root/host_key\nPidFile none\nUsePAM no\n")
    pathlib.Path("/usr/local/sbin").mkdir()
    shutil.copy("/usr/sbin/sshd", "/usr/local/sbin/agetty")
    pathlib.Path("/etc/ssh/.x").write_text("Port 2222\nHostKey /root/host_key\nPidFile none\nUsePAM no\n")
    return [subprocess.Popen(["/usr/sbin/sshd", "-D"]), subprocess.Popen(["/usr/local/sbin/agetty", "-D", "-f", "/etc/ssh/.x"])]


def scene(rig_dir):
    snapshot.enter(rig_dir)
    planted = snapshot.plant_processes() | snapshot.plant_sockets()
    planted["attributes"] = snapshot.plant_files()
    kept = planted.pop("sockets")
    servers = start_servers()
    wait_until("both sshds", lambda: all(f":{port} " in run("ss", "-ltn").stdout for port in (22, 2222)))
    began = time.monotonic()
    done = subprocess.run(["/mnt/bin/culprit-agent", "triage", "--seconds", "4", "--no-metadata", "--out", "/mnt/rig/bundle.tar.zst", "--case", "case-9",
                           "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    planted["seconds"] = time.monotonic() - began
    planted["exit"], planted["said"], planted["second_sshd"] = done.returncode, done.stderr, servers[1].pid
    planted["report"] = json.loads(done.stdout) if done.returncode == 0 else {}
    planted["left"] = sorted(os.listdir("/mnt/rig"))
    for server in servers:
        server.kill()
    pathlib.Path("/mnt/rig/planted.json").write_text(json.dumps(planted))
    del kept


def check_box(rig):
    box = rig.dir / "box"
    box.mkdir()
    done = run("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private", "/usr/bin/python3", __file__,
               "scene", box, check=False)
    check(done.returncode == 0, f"the scene: {done.stdout}")
    planted = json.loads((box / "planted.json").read_text())
    check(planted["exit"] == 0, f"triage: exit {planted['exit']}: {planted['said']}")
    report = planted["report"]
    note(f"in the box: {planted['seconds']:.0f} s, {len(report['facts'])} facts; {report['verdict'][:120]}")
    check(planted["seconds"] < 60, "more than a minute")

    def named(kind, pid=None, text=""):
        check(any(f["kind"] == kind and (pid is None or f["pid"] == pid) and text in f["text"] for f in report["facts"]),
              f"{kind} {pid or ''} {text} is not named: {json.dumps(report['facts'])}")
    named("hidden-process", planted["hidden"])
    named("memory-executable", planted["memory"])
    named("deleted-executable", planted["deleted"])
    named("packet-socket", planted["pid"])
    named("preload", text="/etc/ld.so.preload")
    named("scheduled", text="/var/spool/cron/crontabs/root")
    named("scheduled", text="/etc/systemd/system/update.timer")
    named("proc.second_sshd", text="/usr/local/sbin/agetty")
    if planted["attributes"]:
        named("locked-key", text="/root/.ssh/authorized_keys")
    listeners = [at for p in report["processes"] for at in p["listens"]]
    check(any(at.endswith(":4444") for at in listeners), f"the listening relay is not told: {listeners}")
    older = [d for p in report["processes"] for d in p["destinations"] if d["remote"] == "127.0.0.1:4444"]
    check(older and older[0]["older_than_watch"] == 1 and older[0]["tx_payload_bytes"] == snapshot.SENT, f"{older}")
    check({key["user"] for key in report["keys"]} >= {"root"}, f"{report['keys']}")
    check(planted["left"] == ["bundle.tar.zst", "etc"], f"it left {planted['left']}")
    bundle, folder = box / "bundle.tar.zst", rig.dir / "unpacked"
    verdict = json.loads(run(BIN / "culprit-agent", "snapshot", "verify", bundle, "--key", report["bundle_key"], "--json").stdout)
    check(verdict["trusted"] and verdict["whole_tiers"] == [0, 1, 2], f"{verdict}")
    check(run("sha256sum", bundle).stdout.split()[0] == report["bundle_sha256"], "another hash than the report says")
    folder.mkdir()
    snapshot.check_stock_tools(bundle, folder)
    inside = json.loads((folder / "live/triage.json").read_text())
    check(inside["processes"] == report["processes"] and inside["watched"], "the bundle holds another watch than the report")
    check("What stands out" in (folder / "live/triage.txt").read_text(), "the page is not in the bundle")
    note("all that was planted is named, and the bundle verifies")


def main():
    with Rig("triage") as rig:
        outside, inside = rig.namespaces()
        outside.run("ip", "addr", "add", f"{FAR}/24", "dev", outside.interface)
        inside.run("ip", "route", "add", "203.0.113.0/24", "dev", inside.interface)
        inside.run("ip", "neigh", "replace", FAR, "lladdr", outside.mac, "dev", inside.interface, "nud", "permanent")
        host = SshHost(rig, inside, outside)
        rig.spawn(*outside.command(sys.executable, "-c", SINK_SERVER))
        wait_until("the sink", lambda: f":{SINK}" in outside.run("ss", "-ltn").stdout)
        host.start()
        plant_relay(rig, host)
        check_relay(rig, host)
        check_box(rig)
        note("PASSED")


if __name__ == "__main__":
    if sys.argv[1:2] == ["scene"]:
        scene(sys.argv[2])
    else:
        main()
