# SPDX-License-Identifier: Apache-2.0
"""A Debian system with nothing in it but its essential packages, systemd and libcurl, and steps in it: what a package forgot to ask for is not there."""
import re
import shutil

from harness import TOP, check, run

# In it /proc, /sys with cgroups, and a network of its own of loopback alone; the shell that runs the steps reports each with its status.
ENTER = """
mount --rbind /proc "$1/proc" && mount --rbind /sys "$1/sys" && mount --rbind /dev "$1/dev" && ip link set lo up && exec chroot "$1" bash /steps/run.sh
"""
STEP = 'step() { echo "== $1"; shift; "$@" 2>&1; echo "status $?"; }\n'


def image():
    """A tarball of the root, made once below build/."""
    tarball = TOP / "build/guest/root.tar"
    if not tarball.exists():
        tarball.parent.mkdir(parents=True, exist_ok=True)
        site = run("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Codename: bookworm").stdout.split()
        check(site, "apt knows no mirror of bookworm: run apt-get update")
        root = tarball.with_name("root.unpacked")
        shutil.rmtree(root, ignore_errors=True)
        run("debootstrap", "--variant=minbase", "--include=systemd,libcurl4", "bookworm", root, site[0])
        shutil.rmtree(root / "var/cache/apt/archives")
        run("tar", "-C", root, "-cf", tarball.with_suffix(".new"), ".")
        tarball.with_suffix(".new").rename(tarball)
        shutil.rmtree(root)
    return tarball


def make(folder):
    folder.mkdir()
    run("tar", "-xf", image(), "-C", folder)
    (folder / "steps").mkdir()
    return folder


def steps(root, script):
    """Runs a script of lines `step NAME COMMAND…` in the root. Returns {name: (output, status)}."""
    (root / "steps/run.sh").write_text(STEP + script)
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}
    out = run("unshare", "--mount", "--net", "--propagation", "slave", "sh", "-c", ENTER, "sh", root, check=False, env=environment).stdout
    found = {name: (text, int(status)) for name, text, status in re.findall(r"^== ([\w-]+)\n(.*?)^status (\d+)$", out, re.M | re.S)}
    return found, out
