#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A folder with Debian's packages for arm64: what the cross compiler links (deploy/aarch64.cmake), and what a guest is put together from.

    arm64_root.py DIR       exit 0 it is there, as packages.txt asks for; 1 it could not be made

In it are the -dev packages of [build] and all of [arm64-root], with what they depend on, unpacked. Nothing is installed on this machine, no script of a
package runs, and root is not needed. Its var/lib/dpkg says, as after an installation, which package each file is of; DEBIAN/symbols is what dpkg-shlibdeps
looks for beside a library that is of no package of this machine. Made once; again when packages.txt asks for something else."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ARCHITECTURE = "arm64"
MERGED = ("bin", "sbin", "lib")  # links into usr, as on every Debian 12


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"arm64_root: {' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def wanted():
    """Names of packages, of two sections of packages.txt."""
    names, section = [], ""
    for line in (HERE / "packages.txt").read_text(encoding="utf-8").splitlines():
        word = line.split("#")[0].strip()
        if word.startswith("["):
            section = word
        elif word and (section == "[arm64-root]" or section == "[build]" and word.endswith("-dev")):
            names.append(word)
    return sorted(set(names))


def sources():
    """Where this machine's apt has Debian from, in apt's older form; signed as apt trusts it."""
    form = "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    lines = set(run("apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian").splitlines())
    if not lines:
        sys.exit("arm64_root: apt knows no mirror of Debian: run apt-get update")
    return "\n".join(sorted(lines)) + "\n"


def download(place, names):
    """The packages and what they depend on, by an apt that keeps its state below `place`. Returns their files."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (place / folder).mkdir(parents=True)
    (place / "status").touch()
    (place / "sources.list").write_text(sources())
    apt = ["apt-get", "-q", "-y"]
    for option in (f"Dir::State={place}/state", f"Dir::State::status={place}/status", f"Dir::Cache={place}/cache", f"Dir::Etc::sourcelist={place}/sources.list",
                   "Dir::Etc::sourceparts=-", f"APT::Architecture={ARCHITECTURE}", f"APT::Architectures={ARCHITECTURE}", "APT::Sandbox::User=",
                   "APT::Keep-Downloaded-Packages=true", "Acquire::Languages=none", "Debug::NoLocking=true"):
        apt += ["-o", option]
    run(*apt, "update")
    run(*apt, "--no-install-recommends", "--download-only", "install", *names)
    return sorted((place / "cache/archives").glob("*.deb"))


def unpack(package, root, info):
    """A package's files, and what dpkg would note of it. Returns its paragraph of the status file."""
    control = dict(line.split(": ", 1) for line in run("dpkg-deb", "-f", package).splitlines() if line[:1] not in (" ", "") and ": " in line)
    name = control["Package"] + (f":{control['Architecture']}" if control.get("Multi-Arch") == "same" else "")
    parts = info.parent / "control"
    run("dpkg-deb", "-e", package, parts)
    for part in ("symbols", "shlibs", "md5sums"):
        if (parts / part).exists():
            shutil.move(parts / part, info / f"{name}.{part}")
    shutil.rmtree(parts)
    listed = run("sh", "-c", 'dpkg-deb --fsys-tarfile "$1" | tar -xv --keep-directory-symlink --no-same-owner -C "$2"', "sh", package, root)
    paths = [line.lstrip(".").rstrip("/") or "/." for line in listed.splitlines()]
    (info / f"{name}.list").write_text("\n".join(paths) + "\n")
    text = run("dpkg-deb", "-f", package)
    return text.replace("\n", "\nStatus: install ok installed\n", 1)


def make_links_relative(root):
    """A link to /lib/… means this folder's."""
    for folder, folders, files in os.walk(root):
        for path in (pathlib.Path(folder) / name for name in folders + files):
            if path.is_symlink() and os.readlink(path).startswith("/"):
                target = root / os.readlink(path).lstrip("/")
                path.unlink()
                path.symlink_to(os.path.relpath(target, os.path.realpath(folder)))


def make(root, names):
    for folder in MERGED:
        (root / "usr" / folder).mkdir(parents=True)
        (root / folder).symlink_to(f"usr/{folder}")
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "format").write_text("1\n")
    (info.parent / "arch").write_text(f"{ARCHITECTURE}\n")
    apt = root / "apt"
    paragraphs = [unpack(package, root, info) for package in download(apt, names)]
    (info.parent / "status").write_text("\n".join(paragraphs))
    shutil.rmtree(apt)
    make_links_relative(root)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/symbols").write_text("".join(path.read_text() for path in sorted(info.glob("*.symbols"))))
    return len(paragraphs)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 0 if sys.argv[1:] in (["--help"], ["-h"]) else 2
    root, names = pathlib.Path(sys.argv[1]).absolute(), wanted()
    made_of = hashlib.sha256(" ".join(names).encode() + pathlib.Path(__file__).read_bytes()).hexdigest()
    mark = root / "made-of"
    if mark.exists() and mark.read_text() == made_of:
        return 0
    print(f"arm64_root: {len(names)} packages and what they depend on, into {root}", flush=True)
    new = root.with_name(root.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    count = make(new, names)
    (new / "made-of").write_text(made_of)
    shutil.rmtree(root, ignore_errors=True)
    new.rename(root)
    print(f"arm64_root: {count} packages", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
