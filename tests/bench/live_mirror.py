# SPDX-License-Identifier: Apache-2.0
"""apt as it is used, by detection_live.py: a repository of the far side, and a root of its own that packages are installed in. The machine's own
lists, packages and configuration are neither read nor written."""
import os
import random

from harness import run
from live_field import FAR

PACKAGES, MIRROR = 24, 8080


def build(field, version):
    """Packages of some 150 kB in one folder, which a server of the far side shows."""
    pool = field.rig.dir / "mirror"
    for n in range(PACKAGES):
        tree = field.rig.dir / "deb"
        (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (tree / "opt/data").mkdir(parents=True, exist_ok=True)
        for old in (tree / "opt/data").iterdir():
            old.unlink()
        (tree / f"opt/data/part{n}").write_bytes(os.urandom(random.randint(100_000, 200_000)))
        (tree / "DEBIAN/control").write_text(f"Package: part{n}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <root@localhost>\n"
                                             "Description: random bytes\n")
        run("dpkg-deb", "-Znone", "--root-owner-group", "-b", tree, pool / f"part{n}_{version}_all.deb")
    (pool / "Packages").write_text(run("dpkg-scanpackages", "-m", ".", cwd=pool, stderr=None).stdout)
    (pool / "Release").write_text("Origin: test\nSHA256:\n " + " ".join((run("sha256sum", pool / "Packages").stdout.split()[0],
                                  str((pool / "Packages").stat().st_size), "Packages")) + "\n")


def prepared(field):
    """The server runs, and version 1 is there. The private root begins empty."""
    pool, root = field.rig.dir / "mirror", field.rig.dir / "apt"
    if not pool.exists():
        pool.mkdir()
        build(field, 1)
        field.spawn_outside(MIRROR, "python3", "-m", "http.server", MIRROR, "-d", pool)
    run("rm", "-rf", root)
    for folder in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "etc/apt/sources.list.d", "var/lib/dpkg/info", "var/lib/dpkg/updates",
                   "var/lib/dpkg/triggers", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt", "root"):
        (root / folder).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    (root / "var/lib/dpkg/available").touch()
    # Dir and not RootDir: apt's methods and dpkg itself are the machine's programs. APT_CONFIG is read last, so that nothing of /etc/apt is left.
    (root / "apt.conf").write_text(f'Dir "{root}";\nDir::State::status "{root}/var/lib/dpkg/status";\nDir::Bin::methods "/usr/lib/apt/methods";\n'
                                   f'Dir::Bin::dpkg "/usr/bin/dpkg";\nAPT::Sandbox::User "root";\nAPT::Architecture "amd64";\nAcquire::Languages "none";\n'
                                   f'DPkg::Options {{ "--root={root}/root"; "--admindir={root}/var/lib/dpkg"; "--force-script-chrootless"; "--log=/dev/null"; }};\n'
                                   '#clear DPkg::Pre-Install-Pkgs;\n#clear DPkg::Post-Invoke;\n#clear DPkg::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n'
                                   '#clear APT::Update::Post-Invoke-Success;\n#clear APT::Update::Pre-Invoke;\n')
    return root


def apt(field, root, sources, *commands):
    """Commands of apt-get one after the other, as a service does them: under no login."""
    (root / "etc/apt/sources.list").write_text(sources)
    for command in commands:
        daemon = field.service("env", f"APT_CONFIG={root}/apt.conf", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "--allow-unauthenticated",
                               *command.split())
        daemon.process.wait(60)
        if daemon.process.returncode != 0:
            raise AssertionError(f"apt-get {command}:\n{daemon.tail()}")


def all_parts(version):
    return " ".join(f"part{n}={version}" for n in range(PACKAGES))


def apt_lists_and_packages(field):
    root = prepared(field)
    apt(field, root, f"deb [trusted=yes] http://203.0.113.44:{MIRROR}/ ./\n", "update", f"install -d {all_parts(1)}")


def apt_upgrade(field):
    """Every package is replaced by a newer one, as unattended-upgrades does at night."""
    root = prepared(field)
    source = f"deb [trusted=yes] http://203.0.113.44:{MIRROR}/ ./\n"
    apt(field, root, source, "update", f"install {all_parts(1)}")
    build(field, 2)
    apt(field, root, source, "update", "upgrade")


def apt_over_mirrors(field):
    """The method that takes each file from another of ten mirrors."""
    root = prepared(field)
    (root / "mirrors.txt").write_text("".join(f"http://{a}:{MIRROR}/\n" for a in FAR[44:54]))
    apt(field, root, f"deb [trusted=yes] mirror+file:{root}/mirrors.txt ./\n", "update", f"install -d {all_parts(1)}")
