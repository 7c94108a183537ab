# SPDX-License-Identifier: Apache-2.0
"""A box for tests of snapshots: namespaces of processes, mounts, network and names of its own, with a file system that holds nothing of the machine
where a snapshot looks. What is taken in it, and what is planted for it, is the test's alone."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import harness
from harness import BIN, run

HASH = "$6$saltsalt$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDIhz2GK/XCUj4i6Q5yQJNL1MKMAa4J8RUpjPFCLTH5Y left@behind\n"
# In front of a command: it runs in the box, and calls enter() first.
BOX = ("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private")


def private_file(path, text, mode=0o644):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def make_etc(etc):
    """A /etc of our own, so that nothing of the machine gets into a test's bundle."""
    private_file(etc / "passwd", "root:x:0:0:root:/root:/bin/bash\nbin:x:2:2::/bin:/usr/sbin/nologin\nana:x:1000:1000::/home/ana:/bin/bash\n")
    private_file(etc / "group", "root:x:0:\nana:x:1000:\n")
    private_file(etc / "shadow", f"root:{HASH}:19000:0:99999:7:::\nbin:*:19000::::::\n", 0o600)
    private_file(etc / "ssh/sshd_config", "PermitRootLogin yes\nAuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u\n")
    private_file(etc / "ssh/ssh_host_ed25519_key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", 0o600)
    private_file(etc / "ssh/keys/ana", KEY_LINE)
    private_file(etc / "systemd/system/update.timer", "[Timer]\nOnBootSec=1min\n")
    shutil.copy("/etc/ld.so.cache", etc)


def enter(rig_dir):
    """Inside: mounts of our own over everything that the places of a snapshot name."""
    pathlib.Path("/mnt/x").parent.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "none", "/mnt")
    for name, source in (("bin", BIN), ("rig", rig_dir)):
        os.mkdir(f"/mnt/{name}")
        run("mount", "--bind", source, f"/mnt/{name}")
    for place in ("/root", "/home", "/tmp", "/var/tmp", "/var/log", "/var/spool", "/var/lib", "/usr/local", "/opt", "/run", "/dev/shm", "/boot"):
        run("mount", "-t", "tmpfs", "none", place)
    make_etc(pathlib.Path("/mnt/rig/etc"))
    run("mount", "--bind", "/mnt/rig/etc", "/etc")
    run("mount", "-t", "proc", "proc", "/proc")
    run("ip", "link", "set", "lo", "up")


def run_in_box(name, scene, prepare=lambda share: None):
    """The main of a script whose scene(*its arguments) runs in a box: outside it prepares a directory to share, and starts itself there."""
    if sys.argv[1:2] == ["scene"]:
        enter(sys.argv[2])
        harness.BIN = pathlib.Path("/mnt/bin")
        tempfile.tempdir = "/mnt/rig"  # where no snapshot looks
        scene(*sys.argv[3:])
        return
    if os.geteuid() != 0:
        harness.note("root is needed")
        sys.exit(harness.SKIP)
    with tempfile.TemporaryDirectory(prefix=f"culprit-{name}-") as share:
        prepare(share)
        done = subprocess.run([*BOX, "/usr/bin/python3", os.path.abspath(sys.argv[0]), "scene", share, *sys.argv[1:]], check=False)
    sys.exit(done.returncode)
