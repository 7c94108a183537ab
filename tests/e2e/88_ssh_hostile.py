#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ssh-check over an image whose files were made to hurt who reads them: a gigabyte without blocks, a line of 100 MB, NULs, links to
themselves, pipes, files that include themselves, one that is written all the while. It ends, in little memory, and says what it could
not read."""
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading

from harness import BIN, check, note

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
USERS = ("big", "line", "nul", "loop", "pipe", "folder", "busy")
MEMORY = 128 << 20  # address space that ssh-check may take beyond its libraries


def ssh_check(image, *arguments):
    limit = MEMORY + (1 << 30)
    done = subprocess.run([BIN / "culprit-agent", "ssh-check", "--json", "--root", image, *arguments], stdout=subprocess.PIPE, check=False,
                          timeout=60, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    check(done.returncode in (10, 11, 12, 13), f"exit code {done.returncode}")
    return json.loads(done.stdout)


def build(image):
    (image / "etc/ssh/sshd_config.d").mkdir(parents=True)
    accounts = "".join(f"{name}:x:{1001 + i}:100::/home/{name}:/bin/bash\n" for i, name in enumerate(USERS))
    (image / "etc/passwd").write_text("root:x:0:0::/root:/bin/bash\n" + accounts)
    (image / "etc/group").write_text("root:x:0:\n")
    (image / "etc/shadow").write_text("root:!:1::::::\n")
    files = {}
    for name in USERS:
        (image / "home" / name / ".ssh").mkdir(parents=True)
        files[name] = image / "home" / name / ".ssh/authorized_keys"
    files["big"].write_text(KEY + " first\n")
    os.truncate(files["big"], 1 << 30)
    with open(files["line"], "w", encoding="ascii") as out:
        out.write(KEY + " first\n")
        for _ in range(100):
            out.write("a" * 1_000_000)
        out.write("\n" + KEY + " last\n")
    files["nul"].write_bytes(b"a\0b\n\0\0" + KEY.encode() + b"\n" + KEY.encode() + b" third\0\n")
    files["loop"].symlink_to("authorized_keys")
    os.mkfifo(files["pipe"])
    files["folder"].mkdir()
    files["busy"].write_text(KEY + "\n")
    parts = image / "etc/ssh/sshd_config.d"
    os.mkfifo(parts / "10-pipe.conf")
    (parts / "20-loop.conf").symlink_to("20-loop.conf")
    (parts / "30-big.conf").write_text("")
    os.truncate(parts / "30-big.conf", 1 << 30)
    (parts / "40-folder.conf").mkdir()
    (parts / "50-itself.conf").write_text("Include /etc/ssh/sshd_config\n")
    (image / "etc/ssh/sshd_config").write_text("PermitRootLogin yes\nInclude /etc/ssh/sshd_config.d/*.conf\n")
    return files


def while_it_is_written(image, path):
    """At some moment a reader meets the writer."""
    done = threading.Event()

    def write():
        while not done.is_set():
            with open(path, "w", encoding="ascii") as out:
                for i in range(2_000):
                    out.write(f"{KEY} {i}\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            answer = ssh_check(image, "--user", "busy")
            if any("while it was read" in limit for limit in answer["limits"]):
                return
    finally:
        done.set()
        writer.join()
    check(False, "a file that was written 200 times while it was read is never called so")


def main():
    with tempfile.TemporaryDirectory() as name:
        image = pathlib.Path(name) / "image"
        files = build(image)
        answer = ssh_check(image)
        limits = "\n".join(answer["limits"])
        for user, words in (("big", "longer than"), ("line", "longer than"), ("loop", "symbolic links"), ("pipe", "not a regular file"),
                            ("folder", "not a regular file")):
            check(any(f"/home/{user}/" in line and words in line for line in answer["limits"]), f"{user} is not told: {limits}")
        accepted = {(k["user"], k["line"]) for k in answer["keys"] if k["accepted"]}
        check(accepted == {("big", 1), ("line", 1), ("nul", 3), ("busy", 1)}, f"accepted: {accepted}")
        errors = [f for f in answer["findings"] if f["id"] == "cfg.parse_error"]
        check(errors and "10-pipe.conf" in errors[0]["reason"], f"sshd would not start, and it is not said: {errors}")
        note("a gigabyte, a line of 100 MB, NULs, loops, pipes and folders: each told, none waited for")
        for part in (image / "etc/ssh/sshd_config.d").iterdir():
            part.rmdir() if part.is_dir() and not part.is_symlink() else part.unlink()
        while_it_is_written(image, files["busy"])
        note("a file that is written while it is read is called so")
    return 0


if __name__ == "__main__":
    sys.exit(main())
