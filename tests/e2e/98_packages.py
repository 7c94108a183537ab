#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The packages as they are shipped. Checksums hold, lintian has nothing to say, the bill of materials names what is linked, an .rpm holds the files of
the .deb and asks for nothing that Amazon Linux 2023 has not; the cloud-config is one by cloud-init's own schema. In a minimal Debian the .deb of all three are
installed without another package, configured, started; what happens is at the collector; an upgrade keeps what waits in the spool, which arrives
afterwards; removal leaves it, a purge does not. The .rpm goes the same way by its own scripts."""
import collections
import json
import re
import subprocess

import minimal_root
from harness import BIN, TOP, Rig, check, note, run

NEXT = "9.9.9"
NAMES = ("culprit", "culprit-agent", "culprit-collector")
# glibc 2.34, libgcc 11, systemd 252: what is there on Amazon Linux 2023.
RPM_REQUIRES = re.compile(
    r"(lib(c|m)\.so\.6\(GLIBC_2\.([0-9]|[12]\d|3[0-4])(\.\d+)*\)|libgcc_s\.so\.1\(GCC_[\d.]+\)|libsystemd\.so\.0\(LIBSYSTEMD_2\d\d\)|ld-linux-[\w-]+\.so\.\d\(GLIBC_[\d.]+\)"
    r"|lib(c|m)\.so\.6\(\)|libgcc_s\.so\.1\(\)|libsystemd\.so\.0\(\)|ld-linux-[\w-]+\.so\.\d\(\))(\(64bit\))?|libcurl\.so\.4\(\)\(64bit\)|systemd|/bin/sh|/usr/bin/env|rtld\(GNU_HASH\)|rpmlib\(.*\) <= .*")


def build(rig, built=BIN.parent, components=("agent", "collector", "cli"), names=NAMES):
    folder = rig.dir / "packages"
    config = built / "CPackConfig.cmake"
    run("cpack", "--config", config, "-B", folder, "-D", f"CPACK_COMPONENTS_ALL={';'.join(components)}")
    run("cpack", "--config", config, "-B", rig.dir / "next", "-R", NEXT, "-G", "DEB;RPM", "-D", "CPACK_COMPONENTS_ALL=agent")
    Packages = collections.namedtuple("Packages", "folder deb rpm next_deb next_rpm")
    deb = {name: next(folder.glob(f"{name}_*.deb")) for name in names}
    rpm = {name: next(folder.glob(f"{name}-[0-9]*.rpm")) for name in names}
    return Packages(folder, deb, rpm, next((rig.dir / "next").glob("*.deb")), next((rig.dir / "next").glob("*.rpm")))


def check_sums(packages):
    listed = (packages.folder / "SHA256SUMS").read_text().split()[1::2]
    there = sorted(p.name for p in packages.folder.iterdir() if p.is_file() and p.name != "SHA256SUMS")
    check(sorted(listed) == there and len(there) == 3 * len(packages.deb), f"SHA256SUMS has {listed}, there are {there}")
    run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=packages.folder)


def check_lintian(packages):
    done = run("lintian", "--allow-root", "--show-overrides", "--tag-display-limit", "0", *packages.deb.values(), check=False)
    said = [line for line in done.stdout.splitlines() if not line.startswith(("O:", "N:"))]
    check(done.returncode in (0, 2) and "O: " in done.stdout and not said, f"lintian: exit {done.returncode}\n" + "\n".join(said))
    note(f"lintian: nothing beside {done.stdout.count('O: ')} overrides, each with its reason")


def installed(name, root):
    """The version of a package: of those below a root, or else of this machine's."""
    for place in (root, "/"):
        versions = run("dpkg-query", f"--admindir={place}/var/lib/dpkg", "-W", "-f=${Version}\\n", f"{name}:*", check=False, stderr=subprocess.DEVNULL).stdout.split()
        if versions:
            return versions[0]
    return ""


def check_sbom(packages, rig, libraries="/"):
    """libraries: the root that the programs' libraries come from."""
    programs = {"culprit": ("bin/culprit",), "culprit-collector": ("sbin/culprit-collector",),
                "culprit-agent": ("sbin/culprit-agent", "sbin/culprit-agent-sender", "sbin/culprit-agent-parser")}
    for name, deb in packages.deb.items():
        root = rig.dir / f"content-{name}"
        run("dpkg-deb", "-x", deb, root)
        bill = json.loads((root / f"usr/share/doc/{name}/sbom.spdx.json").read_text())
        check((bill["spdxVersion"], bill["dataLicense"]) == ("SPDX-2.3", "CC0-1.0"), bill)
        ids = {package["SPDXID"] for package in bill["packages"]}
        check(len(ids) == len(bill["packages"]), f"{name}: an id stands twice")
        linked = collections.defaultdict(set)
        for relation in bill["relationships"]:
            check(relation["relatedSpdxElement"] in ids, f"{name}: {relation} leads nowhere")
            linked[relation["relationshipType"]].add(relation["relatedSpdxElement"].removeprefix("SPDXRef-"))
        needed = {n for p in programs[name] for n in re.findall(r"NEEDED.*\[(.+?)\]", run("readelf", "-d", root / "usr" / p).stdout)}
        check(("libsystemd0" in linked["DYNAMIC_LINK"]) == ("libsystemd.so.0" in needed), f"{name}: asks for {needed}, the bill has {linked['DYNAMIC_LINK']}")
        for package, text in (("libssl-dev", "crypto/evp/"), ("libprotobuf-dev", "google.protobuf")):
            holds = any(text.encode() in (root / "usr" / p).read_bytes() for p in programs[name])
            check((package in linked["STATIC_LINK"]) == holds, f"{name}: {package} in the bill: {package in linked['STATIC_LINK']}, in the programs: {holds}")
        for package in bill["packages"]:
            if package["SPDXID"] != "SPDXRef-culprit":
                version = installed(package["name"], libraries)
                check(package["versionInfo"] == version, f"{name}: {package['name']} {package['versionInfo']}, installed is {version}")
        note(f"{name}: {len(linked['STATIC_LINK'])} packages linked, {len(linked['DYNAMIC_LINK'])} asked for, {len(linked['CONTAINS'])} as headers")


def check_rpm_content(packages):
    for name, rpm in packages.rpm.items():
        listed = set(run("rpm", "-qpl", rpm).stdout.split("\n")) - {""}
        content = run("dpkg-deb", "-c", packages.deb[name]).stdout.splitlines()
        files = {line.split(" ./", 1)[1].split(" -> ")[0] for line in content if not line.startswith("d")}
        check({f"/{f}" for f in files} == {f for f in listed if f.lstrip("/") in files or not any(o.startswith(f + "/") for o in listed)},
              f"{name}: only in one of both: {({f'/{f}' for f in files}) ^ listed}")
        requires = {line.strip() for line in run("rpm", "-qp", "--requires", rpm).stdout.splitlines()}
        strange = {line for line in requires if not RPM_REQUIRES.fullmatch(line)}
        check(not strange, f"{name}: asks for {strange}")
        check("digests OK" in run("rpm", "--checksig", "--nosignature", rpm).stdout, f"{name}: digests")
    scripts = run("rpm", "-qp", "--scripts", packages.rpm["culprit-agent"]).stdout
    check(all(f"{kind} scriptlet" in scripts for kind in ("postinstall", "preuninstall", "postuninstall")), scripts)


def check_cloud_config(rig):
    folder = rig.dir / "cloud-init"
    folder.mkdir()
    run("apt-get", "download", "-q", "cloud-init", cwd=folder)
    run("dpkg", "-x", next(folder.glob("cloud-init_*.deb")), folder / "x")
    command = ("env", f"PYTHONPATH={folder}/x/usr/lib/python3/dist-packages", "/usr/bin/python3", folder / "x/usr/bin/cloud-init", "schema", "--config-file")
    text = (TOP / "deploy/cloud-config.yaml").read_text()
    (folder / "bad.yaml").write_text(text.replace("runcmd:", "runcmd: 7\nx:"))
    check("Valid cloud-config" in run(*command, TOP / "deploy/cloud-config.yaml").stdout, "not valid")
    check(run(*command, folder / "bad.yaml", check=False).returncode != 0, "a broken cloud-config was taken")
    body = text.split("    - |\n", 1)[1]
    script = "\n".join(line.removeprefix("      ") for line in body.splitlines())
    done = subprocess.run(["shellcheck", "--shell", "sh", "--exclude", "SC1091,SC2154", "-"], input=script, text=True, stdout=subprocess.PIPE, check=False)
    check(done.returncode == 0, done.stdout)
    return text, script


# What is between installation and upgrade, in the words of whoever is there.
BEGIN = """
trap 'kill $(jobs -p) 2>/dev/null' EXIT
spool() { find /var/lib/culprit/agent/spool -type f -name '*.clog' -printf '%P ' -exec sha256sum {} \\; | sort; }
until_true() { for _ in $(seq 600); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done; return 1; }
as_culprit() { setpriv --reuid=culprit --regid=culprit --init-groups "$@"; }
start_collector() { setpriv --reuid=culprit --regid=culprit --init-groups culprit-collector run >>/collector.log 2>&1 & collector=$!; until_true culprit status; }
start_agent() { culprit-agent run >>/agent.log 2>&1 & agent=$!; until_true culprit-agent status; }
end() { kill "$1" && wait "$1"; }
seen() { culprit flows --remote "127.0.0.1:$1" --json | grep -q '"pid"'; }
knock() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; true; }
knocked() { knock "$1"; seen "$1"; }
"""
DEB_STEPS = BEGIN + """
step install dpkg -i /packages/*.deb
step enabled ls /etc/systemd/system/multi-user.target.wants/culprit-agent.service /etc/systemd/system/multi-user.target.wants/culprit-collector.service
step user id culprit
step collector /usr/share/culprit-collector/install.sh collector --name 127.0.0.1
step issue as_culprit culprit-collector issue agent here --out /tmp/here
step agent /usr/share/culprit-agent/install.sh agent --collector 127.0.0.1:7443 --credentials /tmp/here
printf '[identity]\\nsource = "machine"\\n' >>/etc/culprit/agent.toml
step starts start_collector
step runs start_agent
step seen until_true knocked 9
step collector-ends end "$collector"
for _ in $(seq 20); do knock 10; done
step agent-ends end "$agent"
spool >/spool.before
step waits test -s /spool.before
step upgrade dpkg -i /next/*.deb
step version sh -c "dpkg-query -W -f='\\${Version}\\n' culprit-agent"
step kept bash -c "$(declare -f spool); spool | diff /spool.before -"
step starts-again start_collector
step runs-again start_agent
step arrives until_true seen 10
step agent-ends-again end "$agent"
step collector-ends-again end "$collector"
step remove dpkg -r culprit-agent
step left-by-remove ls /etc/culprit/agent/agent.key /etc/culprit/agent.toml /var/lib/culprit/agent/spool
step gone-by-remove ls /usr/sbin/culprit-agent
step purge dpkg -P culprit-agent
step left-by-purge ls -d /etc/culprit/agent /etc/culprit/agent.toml /var/lib/culprit/agent /etc/systemd/system/multi-user.target.wants/culprit-agent.service
step purge-all dpkg -P culprit culprit-collector
step evidence ls -d /var/lib/culprit/collector/journal /var/lib/culprit/collector/pki/ca.key
"""
FAILS = {"left-by-purge": 2, "gone-by-remove": 2}


def check_steps(found, out, expected, fails):
    for name in re.findall(r"^step ([\w-]+)", expected, re.M):
        text, status = found.get(name, (out[-4000:], None))
        check(status == fails.get(name, 0), f"{name}: status {status}, expected {fails.get(name, 0)}:\n{text}")


def check_debian(rig, packages):
    root = minimal_root.make(rig.dir / "root")
    for folder, files in (("packages", packages.deb.values()), ("next", [packages.next_deb])):
        (root / folder).mkdir()
        run("cp", *files, root / folder)
    found, out = minimal_root.steps(root, DEB_STEPS)
    try:
        check_steps(found, out, DEB_STEPS, FAILS)
    except Exception:
        for log in ("agent.log", "collector.log"):
            note(f"--- {log}\n{(root / log).read_text()[-1500:] if (root / log).exists() else 'none'}")
        raise
    check(found["version"][0].strip() == NEXT, found["version"])
    check("No such file" in found["gone-by-remove"][0] and not re.search("^/", found["left-by-purge"][0], re.M), found["left-by-purge"])
    note("minimal Debian: installed, evidence seen, upgraded with a full spool that arrived, removed, purged")


def check_rpm_ways(rig, packages):
    """In a root of its own, by rpm of this machine: the scripts run inside. The database is new, so nothing is there to depend on."""
    root = minimal_root.make(rig.dir / "rpm-root")
    asks, rpm = ("rpm", "--root", root), ("rpm", "--root", root, "--nodeps", "--nosignature")
    run(*rpm, "-i", packages.rpm["culprit-agent"], packages.rpm["culprit-collector"], packages.rpm["culprit"])
    wants = root / "etc/systemd/system/multi-user.target.wants/culprit-agent.service"
    check(wants.is_symlink(), "the unit is not enabled")
    check(oct((root / "etc/culprit/agent").stat().st_mode) == "0o40700", "credentials can be read by others")
    check("culprit" in (root / "etc/passwd").read_text(), "no user culprit")
    run(*rpm, "-V", "culprit-agent")
    spool = root / "var/lib/culprit/agent/spool/evidence-1.clog"
    spool.parent.mkdir(parents=True)
    spool.write_text("what waits")
    run(*rpm, "-U", packages.next_rpm)
    check(run(*asks, "-q", "culprit-agent").stdout.startswith(f"culprit-agent-{NEXT}"), "not upgraded")
    check(spool.read_text() == "what waits" and wants.is_symlink(), "the upgrade touched the spool or the unit")
    found, out = minimal_root.steps(root, "step version culprit-agent version\n")
    check(found.get("version", ("", 1))[1] == 0, out)
    said = run(*rpm, "-e", "culprit-agent").stdout
    check("left in" in said and spool.exists() and not (root / "usr/sbin/culprit-agent").exists() and not wants.is_symlink(), f"after removal: {said}")
    note("rpm: installed, verified, upgraded with its spool, removed with it left")


def check_image(rig, packages):
    """install.sh puts the same into an image from either form."""
    lists = []
    for package in (packages.deb["culprit-agent"], packages.rpm["culprit-agent"]):
        root = rig.dir / f"image{package.suffix}"
        root.mkdir()
        run(TOP / "deploy/install.sh", "agent", "--root", root, "--from", package, "--collector", "192.0.2.1:7443")
        lists.append({str(p.relative_to(root)): (oct(p.lstat().st_mode), p.read_bytes() if p.is_file() else b"") for p in root.rglob("*")})
    check(lists[0] == lists[1], f"differ: {[k for k in lists[0].keys() | lists[1].keys() if lists[0].get(k) != lists[1].get(k)]}")


def main():
    with Rig("packages") as rig:
        packages = build(rig)
        check_sums(packages)
        check_rpm_content(packages)
        check_sbom(packages, rig)
        check_cloud_config(rig)
        check_lintian(packages)
        check_image(rig, packages)
        check_rpm_ways(rig, packages)
        check_debian(rig, packages)


if __name__ == "__main__":
    main()
    note("ok")
