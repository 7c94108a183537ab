# SPDX-License-Identifier: Apache-2.0
"""A qemu guest with another kernel that runs agent, collector and test programs inside, and says on its console how they ended.

    box = Box(rig.dir, "kernel", modules=("veth", "sctp"))
    box.add(BIN / "culprit-agent", "/culprit/bin")
    box.run({"load": "culprit-agent status"}, seconds=200)   # {"load": (exit status, output)}

The root is an ext4 image put together from this host's files, or from a folder with those of another architecture (machine=ARM64): programs, the
libraries that they need, Python's own. The kernel comes out of Debian's package, loads the image's modules and has no network but its own."""
import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import time

import guest
from harness import HERE, TOP, Daemon, check, note, run

PYTHON = "/usr/bin/python3"
PROGRAMS = ("/bin/sh", "/bin/cat", "/bin/grep", "/bin/true", "/usr/bin/curl", "/usr/bin/env", "/usr/bin/head", "/usr/bin/iperf3",
            "/usr/bin/readlink", "/usr/bin/setpriv", "/usr/bin/ssh", "/usr/bin/ssh-keygen", "/usr/bin/sleep",
            "/usr/bin/timeout", "/usr/sbin/ethtool", "/usr/sbin/ip", "/usr/sbin/nft", "/usr/sbin/sshd", "/usr/sbin/sysctl",
            "/usr/bin/ss")
LEFT_OUT = ("test", "idlelib", "lib2to3", "pydoc_data", "ensurepip", "distutils", "unittest", "sitecustomize.py")
INIT = """#!/usr/bin/busybox sh
export PATH=/usr/sbin:/usr/bin PYTHONDONTWRITEBYTECODE=1 HOME=/root CULPRIT_BIN=/culprit/bin CULPRIT_HELPERS=/culprit/helpers CULPRIT_PATIENCE=4
b=/usr/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts devpts /dev/pts
$b mount -t tmpfs tmp /tmp
$b mount -t tmpfs run /run
$b mount -t cgroup2 cgroup2 /sys/fs/cgroup
$b mount -t bpf bpf /sys/fs/bpf
$b mkdir -p /run/sshd /run/netns
$b hostname guest
for m in {modules}; do $b insmod /modules/$m.ko || echo "guest: no module $m"; done
ip link set lo up
cd /culprit
echo
{commands}
$b sync
$b poweroff -f
"""
COMMAND = """echo "guest: begin {name} at $($b cut -d' ' -f1 /proc/uptime)"
{command}
echo "guest: end {name} $? at $($b cut -d' ' -f1 /proc/uptime)"
"""


@dataclasses.dataclass(frozen=True)
class Machine:
    root: pathlib.Path  # whose programs and libraries the guest gets
    kernel: object      # () -> its image, the folder of its modules
    ldd: tuple          # says which libraries one program needs
    tools: str          # what a compiler's and its tools' names begin with
    qemu: tuple
    console: str

    def path(self, inside):
        return self.root / str(inside).lstrip("/")


ARM64_ROOT = TOP / "build/arm64-root"  # deploy/arm64_root.py makes it
X86_64 = Machine(pathlib.Path("/"), guest.kernel, ("ldd",), "", ("qemu-system-x86_64", "-cpu", "max"), "ttyS0")
# Of the processor all that qemu has, but for the slow way of signing pointers.
ARM64 = Machine(ARM64_ROOT, lambda: (next(ARM64_ROOT.glob("boot/vmlinuz-*")), next(ARM64_ROOT.glob("usr/lib/modules/*"))),
                ("qemu-aarch64", "-L", ARM64_ROOT, ARM64_ROOT / "lib/ld-linux-aarch64.so.1", "--list"), "aarch64-linux-gnu-",
                ("qemu-system-aarch64", "-M", "virt", "-cpu", "max,pauth-impdef=on"), "ttyAMA0")


def module_order(folder, wanted):
    """Paths of kernel modules, each behind those that it needs, as the modules themselves say."""
    files = {p.stem.replace("-", "_"): p for p in folder.rglob("*.ko")}
    order = []

    def visit(name):
        needs = re.search(rb"\0depends=([^\0]*)\0", files[name].read_bytes()).group(1).decode()
        for needed in filter(None, needs.split(",")):
            visit(needed.replace("-", "_"))
        if files[name] not in order:
            order.append(files[name])
    for name in wanted:
        visit(name)
    return order


class Box:
    def __init__(self, place, name, modules=(), machine=X86_64):
        self.place, self.name, self.machine = pathlib.Path(place), name, machine
        self.root, self.image, self.log = self.place / f"{name}-root", self.place / f"{name}.img", self.place / f"{name}.log"
        self.kernel, folder = machine.kernel()
        for part in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "proc", "sys", "dev", "tmp", "run", "root", "etc",
                     "modules", "culprit/bin", "culprit/helpers", "culprit/tests", "var/lib", "var/empty"):
            (self.root / part).mkdir(parents=True)
        for link in ("bin", "sbin", "lib", "lib64"):
            (self.root / link).symlink_to(f"usr/{link}")
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nsshd:x:101:65534::/run/sshd:/bin/false\n"
                                              "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n")
        (self.root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
        (self.root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        self.modules = module_order(folder, modules)
        for module in self.modules:
            shutil.copy(module, self.root / "modules")
        self.add_host_file("/usr/bin/busybox")
        self.add_programs(PROGRAMS)
        self.add_python()
        shutil.copytree(HERE, self.root / "culprit/tests/e2e", ignore=shutil.ignore_patterns("__pycache__"))

    def add_host_file(self, path):
        """A file at its place, and what its name stands for if it is a link; once."""
        source = pathlib.Path(os.path.realpath(self.machine.path(path).parent)) / pathlib.Path(path).name
        inside = source.relative_to(self.machine.root)
        target = self.root / inside
        if target.exists() or target.is_symlink():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
        if source.is_symlink():
            self.add_host_file(pathlib.Path("/") / inside.parent / os.readlink(source))

    def add_libraries(self, *programs):
        """programs: where they are on this host."""
        for program in programs:
            for library in set(re.findall(r"(/\S+\.so[^\s:]*)", run(*self.machine.ldd, program, check=False).stdout)):
                self.add_host_file(library.removeprefix(str(self.machine.root)) if self.machine.root.name else library)

    def add_programs(self, programs):
        for program in programs:
            self.add_host_file(program)
        self.add_libraries(*map(self.machine.path, programs))

    def add_python(self):
        library = pathlib.Path("/usr/lib") / os.readlink(self.machine.path(PYTHON))
        shutil.copytree(self.machine.path(library), self.root / str(library).lstrip("/"), ignore=shutil.ignore_patterns(*LEFT_OUT, "config-*"))
        self.add_programs([PYTHON])
        self.add_libraries(*self.machine.path(library).glob("lib-dynload/*.so"))

    def add(self, program, folder):
        """A program of ours, without its debug information."""
        target = self.root / folder.lstrip("/") / pathlib.Path(program).name
        run(f"{self.machine.tools}strip", "--strip-debug", "-o", target, program)
        self.add_libraries(program)

    def make_image(self, commands):
        text = "".join(COMMAND.replace("{name}", name).replace("{command}", command) for name, command in commands.items())
        init = self.root / "init"
        init.write_text(INIT.replace("{modules}", " ".join(shlex.quote(m.stem) for m in self.modules))
                        .replace("{commands}", text))
        init.chmod(0o755)
        size = sum(p.lstat().st_size for p in self.root.rglob("*") if not p.is_dir())
        with open(self.image, "wb") as image:
            image.truncate(size * 5 // 4 + (256 << 20))
        run("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", self.root, self.image)
        shutil.rmtree(self.root)

    def run(self, commands, seconds):
        """Boots, runs the commands in turn, ends. {name: (exit status, output)}; those that did not end are not in it."""
        self.make_image(commands)
        began = time.monotonic()
        machine = Daemon(
            [*self.machine.qemu, "-accel", "tcg,thread=multi", "-m", "1024", "-smp", "2", "-nographic",
             "-no-reboot", "-nodefaults", "-serial", "stdio", "-kernel", self.kernel,
             "-append", f"console={self.machine.console} quiet panic=-1 mitigations=off root=/dev/nvme0n1 rw rootfstype=ext4 init=/init",
             "-drive", f"if=none,id=disk,file={self.image},format=raw,cache=unsafe", "-device", "nvme,drive=disk,serial=1"],
            self.log)
        try:
            while machine.alive() and time.monotonic() - began < seconds:
                time.sleep(0.25)
            check(not machine.alive(), f"the guest did not end within {seconds} s:\n{machine.tail(40)}")
        finally:
            machine.kill()
            self.image.unlink()
        text = self.log.read_text(errors="replace").replace("\r", "")
        note(f"guest: {time.monotonic() - began:.0f} s")
        check("guest: begin" in text, f"the guest did not come up:\n{text[-3000:]}")
        found = re.finditer(r"^guest: begin (\S+) at \S+\n(.*?)^guest: end \1 (\d+) at \S+$", text, re.S | re.M)
        return {m.group(1): (int(m.group(3)), m.group(2)) for m in found}
