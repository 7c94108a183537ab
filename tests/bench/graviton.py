#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The packages for arm64, made on this machine and played through on an arm64 kernel: graviton.py [--agent] [PART...], as root on Debian 12.

Installs what is missing (deploy/packages.txt [arm64]), makes the folder of arm64 libraries, builds and packs. The packages are of the right
architecture, ask for nothing but glibc 2.34, libgcc, libsystemd and libcurl, and their bills of materials name what is linked. Then the programs out of them run in an
emulated machine with Debian 12's own kernel for arm64 (6.1): kernel programs and their records, attribution and bytes of real traffic, what stands in on 6.1 and SCTP,
packets on disk with the confined parser, and a snapshot that is whole. --agent: neither collector nor command is built, and no part that needs them is played; half of the
first build, which is an hour on two cores. PART: packages, or one of the guest's (only these)."""
import importlib
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from guestbox import ARM64, ARM64_ROOT, PYTHON, Box  # noqa: E402
from harness import TOP, Rig, check, note, run  # noqa: E402

kernel_6_1 = importlib.import_module("70_kernel_6_1")
shipped = importlib.import_module("98_packages")
BUILD = TOP / "build/aarch64"
SNAPSHOT = ("printf 'state_dir = \"/tmp/snapshot\"\\n[identity]\\nsource = \"machine\"\\n' >/tmp/snapshot.toml && "
            "bin/culprit-agent snapshot --config /tmp/snapshot.toml --out /tmp/host.tar.zst && bin/culprit-agent snapshot verify /tmp/host.tar.zst")
ALONE = {"agent": f"{PYTHON} tests/e2e/agent_alone.py", "snapshot": SNAPSHOT, **{n: c for n, c in kernel_6_1.PARTS.items() if n.startswith("bpf-")}}
PARTS = {**ALONE, **kernel_6_1.PARTS, "packets": f"{PYTHON} tests/e2e/81_packets.py"}
SECONDS = 2400
DEPENDS = re.compile(r"libc6 \(>= 2\.([12]\d|3[0-4])(\.\d+)?\)|libgcc-s1 \(>= [34]\.[\d.]+\)|libsystemd0 \(>= 2[0-4]\d\)|libcurl4 \(>= 7\.[\d.]+\)"
                     r"|systemd \| systemd-standalone-sysusers")


def build(files):
    for command in ((TOP / "deploy/install-packages.sh", "build", "package", "test", "arm64"), (TOP / "deploy/arm64_root.py", ARM64_ROOT),
                    ("cmake", "--preset", "aarch64"), ("cmake", "--build", "--preset", "aarch64", "-j", os.environ.get("JOBS", str(os.cpu_count())), "--target", files, "bpf_process_test",
                     "bpf_flow_test")):
        note(f"--- {' '.join(map(str, command))}")
        run(*command, cwd=TOP, stdout=None)


def check_packages(rig, packages):
    for name, deb in packages.deb.items():
        architecture, depends = (run("dpkg-deb", "-f", deb, field).stdout.strip() for field in ("Architecture", "Depends"))
        check(architecture == "arm64", f"{deb.name} is for {architecture}")
        strange = [d for d in depends.split(", ") if not DEPENDS.fullmatch(d)]
        check(depends and not strange, f"{name} asks for {strange} of {depends}")
        note(f"{deb.name}: {deb.stat().st_size // 1024} KiB, asks for {depends}")
    for rpm in packages.rpm.values():
        check(run("rpm", "-qp", "--queryformat", "%{ARCH}", rpm).stdout == "aarch64", f"{rpm.name} is not for aarch64")
    shipped.check_sums(packages)
    shipped.check_rpm_content(packages)
    shipped.check_sbom(packages, rig, ARM64_ROOT)
    shipped.check_lintian(packages)


def unpacked(rig, packages):
    """The programs as they are shipped, and the tests of the kernel programs, in a folder like that of a build."""
    place = rig.dir / "shipped"
    (place / "bin").mkdir(parents=True)
    for deb in packages.deb.values():
        run("dpkg-deb", "-x", deb, place / "x")
    for program in (*place.glob("x/usr/bin/*"), *place.glob("x/usr/sbin/*")):
        program.rename(place / "bin" / program.name)
    (place / "tests").symlink_to(BUILD / "tests")
    return place


def main():
    alone = "--agent" in sys.argv[1:]
    wanted = [name for name in sys.argv[1:] if name != "--agent"] or ["packages", *(ALONE if alone else PARTS)]
    unknown = [name for name in wanted if name not in ("packages", *(ALONE if alone else PARTS))]
    if unknown:
        print(__doc__)
        return 0 if unknown == ["--help"] else 2
    build("package_files_agent" if alone else "package_files")
    with Rig("graviton") as rig:
        packages = shipped.build(rig, BUILD, *((("agent",), ("culprit-agent",)) if alone else ()))
        programs = unpacked(rig, packages)
        shipped_programs = sorted((programs / "bin").iterdir())
        note(run(TOP / "tests/lint/check_programs.py", *shipped_programs).stdout.strip())
        if "packages" in wanted:
            check_packages(rig, packages)
        parts = {name: PARTS[name] for name in wanted if name in PARTS}
        if parts:
            box = Box(rig.dir, "guest", kernel_6_1.MODULES, ARM64)
            kernel_6_1.fill(rig, box, programs, [program.name for program in shipped_programs])
            kernel_6_1.play(box, parts, SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
