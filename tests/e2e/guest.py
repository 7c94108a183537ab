# SPDX-License-Identifier: Apache-2.0
"""A small qemu guest that runs the collector on a disk image of its own; cutting its power is SIGKILL to qemu.

The kernel comes out of Debian's package (not installed), the initial file system is busybox, the collector and its
libraries. The image survives the guest; what the guest had not flushed does not."""
import contextlib
import pathlib
import re
import shutil
import subprocess
import time

from harness import BIN, TOP, Daemon, check, run

MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "failover",
           "net_failover", "virtio_net")
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /data /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for m in {modules}; do /bin/busybox insmod /modules/$m.ko; done
/bin/busybox ip link set lo up
/bin/busybox ip addr add 10.0.2.15/24 dev eth0
/bin/busybox ip link set eth0 up
/bin/busybox mount -t ext4 /dev/nvme0n1 /data || echo "guest: no disk"
echo "guest: collector starts"
/collector run --config /data/collector.toml
echo "guest: collector ended with $?"
/bin/busybox sync
/bin/busybox poweroff -f
"""


def kernel():
    """(kernel image, directory of modules) out of the package, kept below build/."""
    place = TOP / "build" / "guest"
    place.mkdir(parents=True, exist_ok=True)
    if not list(place.glob("x/boot/vmlinuz-*")):
        listing = run("apt-cache", "depends", "linux-image-cloud-amd64").stdout
        found = re.search(r"Depends: (linux-image-\S+)", listing)
        check(found, "no package linux-image-cloud-amd64 in the package lists: run apt-get update")
        run("apt-get", "download", "-q", found.group(1), cwd=place)
        package = next(place.glob("linux-image-*.deb"))
        run("dpkg", "-x", package, place / "x")
        package.unlink()
    return next(place.glob("x/boot/vmlinuz-*")), next(place.glob("x/lib/modules/*"))


def libraries(program):
    """Shared objects that a program needs, the loader included."""
    return sorted(set(re.findall(r"(/\S+\.so\S*)", run("ldd", program).stdout)))


def build_initrd(target, modules):
    root = target.parent / "initrd"
    for folder in ("bin", "modules", "etc"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    shutil.copy(BIN / "culprit-collector", root / "collector")
    run("strip", "--strip-debug", root / "collector")
    for library in libraries(BIN / "culprit-collector"):
        copy = root / library.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, copy)
    for name in MODULES:
        for found in modules.rglob(f"{name}.ko"):
            shutil.copy(found, root / "modules")
    (root / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    init = root / "init"
    init.write_text(INIT.replace("{modules}", " ".join(MODULES)))
    init.chmod(0o755)
    names = "\n".join(str(p.relative_to(root)) for p in sorted(root.rglob("*")))
    with open(target, "wb") as output:
        subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(), stdout=output,
                       stderr=subprocess.DEVNULL, check=True)
    shutil.rmtree(root)


class Guest:
    def __init__(self, rig, size="512M"):
        self.rig, self.disk = rig, rig.dir / "disk.img"
        self.kernel, modules = kernel()
        self.initrd = rig.dir / "initrd.cpio"
        build_initrd(self.initrd, modules)
        content = rig.dir / "disk"
        content.mkdir()
        shutil.copytree(rig.pki, content / "pki")
        (content / "collector.toml").write_text(
            'listen = "0.0.0.0:7443"\ndata_dir = "/data/collector"\npki_dir = "/data/pki"\n' + rig.collector_extra)
        with open(self.disk, "wb") as image:
            image.truncate(int(size[:-1]) << 20)
        run("mkfs.ext4", "-q", "-F", "-d", content, self.disk)
        self.process = None

    def boot(self, seconds=180):
        began = time.monotonic()
        self.process = Daemon(
            ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "512", "-smp", "1", "-nographic", "-no-reboot", "-nodefaults",
             "-serial", "stdio", "-kernel", self.kernel, "-initrd", self.initrd,
             "-append", "console=ttyS0 quiet panic=-1",
             "-drive", f"if=none,id=disk,file={self.disk},format=raw,cache=writeback", "-device", "nvme,drive=disk,serial=1",
             "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.rig.port}-:7443",
             "-device", "virtio-net-pci,netdev=net,romfile="], self.rig.dir / "guest.log")
        self.await_collector(seconds)
        return time.monotonic() - began

    def await_collector(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            check(self.process.alive(), f"guest ended:\n{self.process.tail()}")
            with contextlib.suppress(Exception):
                self.rig.query("status", "--timeout", "2s")
                return
            time.sleep(0.2)
        check(False, f"no collector in the guest within {seconds} s:\n{self.process.tail()}")

    def cut_power(self):
        self.process.kill()

    def read_disk(self, folder):
        """A copy of a folder of the image as the next boot would find it: journal of the file system replayed."""
        copy, out = self.rig.dir / "copy.img", self.rig.dir / "copy"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        run("cp", "--sparse=always", self.disk, copy)
        done = run("e2fsck", "-fy", copy, check=False)
        check(done.returncode < 4, f"file system of the guest: {done.stdout}")
        run("debugfs", "-R", f"rdump {folder} {out}", copy)
        copy.unlink()
        return out / pathlib.Path(folder).name

