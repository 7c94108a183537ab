#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""From package to evidence. install.sh puts the agent below a scratch root from the .deb, the .tar.gz and the build tree: three times the same files, a second
time without a change; wrong arguments change nothing. What was installed passes check-config and runs under the restrictions of its unit as it does without
them, and what it sees is at the collector. user-data.sh does all that in a copy of this machine that is thrown away, and a purge leaves nothing."""
import hashlib
import json
import re
import sys

from harness import BIN, HERE, TOP, Daemon, Rig, check, note, run, wait_until

INSTALL = TOP / "deploy/install.sh"
CREDENTIALS = ("ca.pem", "agent.pem", "agent.key")


def listing(root, times=True):
    """{path: what it is}: mode, content, and when it was changed."""
    found = {}
    for path in sorted(root.rglob("*")):
        info = path.lstat()
        content = path.readlink() if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(root))] = (oct(info.st_mode), str(content), info.st_mtime_ns if times and path.is_file() else 0)
    return found


def differences(a, b):
    return {name: (a.get(name), b.get(name)) for name in a.keys() | b.keys() if a.get(name) != b.get(name)}


def install(*arguments, status=0):
    done = run(INSTALL, *arguments, check=False)
    check(done.returncode == status, f"install.sh {' '.join(map(str, arguments))}: exit {done.returncode}, expected {status}\n{done.stdout}")
    return done.stdout


def build_packages(rig):
    folder = rig.dir / "packages"
    run("cpack", "--config", BIN.parent / "CPackConfig.cmake", "-B", folder, "-G", "DEB;TGZ")
    return {key: next(folder.glob(pattern)) for key, pattern in
            (("deb", "culprit-agent_*.deb"), ("tar", "*-agent.tar.gz"), ("collector", "culprit-collector_*.deb"))}


def fingerprint(rig):
    out = run("openssl", "x509", "-in", rig.credentials / "ca.pem", "-noout", "-fingerprint", "-sha256").stdout
    return out.strip().split("=")[1]


def check_sources(rig, packages):
    """Returns the root that was installed from the .deb."""
    listings = {}
    for name, source in (("tar", packages["tar"]), ("tree", BIN.parent), ("deb", packages["deb"])):
        root = rig.dir / f"root-{name}"
        root.mkdir()
        arguments = ("agent", "--root", root, "--from", source, "--collector", f"127.0.0.1:{rig.port}",
                     "--credentials", rig.credentials, "--ca-fingerprint", fingerprint(rig))
        install(*arguments)
        listings[name] = listing(root, times=False)
        before = listing(root / "etc")
        install(*arguments)
        check(listing(root / "etc") == before, f"{name}: a second time changed {differences(before, listing(root / 'etc'))}")
        check(listing(root, times=False) == listings[name], f"{name}: a second time changed the programs")
    check(listings["tar"] == listings["deb"], f"tar.gz and .deb differ: {differences(listings['tar'], listings['deb'])}")
    check(listings["tree"] == listings["deb"], f"build tree and .deb differ: {differences(listings['tree'], listings['deb'])}")
    for name in CREDENTIALS:
        check(listings["deb"][f"etc/culprit/agent/{name}"][0] == "0o100600", f"{name} can be read by others")
    note(f"{len(listings['deb'])} paths, the same from .deb, .tar.gz and build tree, unchanged by a second call")
    return root


def check_refusals(rig, packages, root):
    other = rig.dir / "no-credentials"
    other.mkdir()
    agent = ("agent", "--root", root)
    cases = (
        (("--root", root), 2, "agent or collector"),
        (("agent", "collector"), 2, "one role only"),
        ((*agent, "--fast"), 2, "unknown argument '--fast'"),
        ((*agent, "--collector"), 2, "--collector needs a value"),
        ((*agent, "--collector", "192.0.2.1"), 2, "is not HOST:PORT"),
        ((*agent, "--collector", "192.0.2.1:70000"), 2, "no such port"),
        ((*agent, "--collector", 'x"\nkey = "y:7443'), 2, "is not HOST:PORT"),
        ((*agent, "--name", "c.example"), 2, "--name is the collector's"),
        ((*agent, "--credentials", rig.credentials, "--ca-fingerprint", "12:34"), 2, "not a SHA-256"),
        ((*agent, "--ca-fingerprint", "0" * 63), 2, "is not a SHA-256"),
        ((*agent, "--token-file", "/nowhere"), 2, "cannot be read"),
        ((*agent, "--token-file", INSTALL), 2, "not one that `culprit-collector token create` made"),
        ((*agent, "--credentials", rig.credentials, "--ca-fingerprint", "0" * 64), 1, "of another authority"),
        ((*agent, "--credentials", other), 1, "ca.pem is missing"),
        ((*agent, "--from", packages["collector"]), 1, "not culprit-agent"),
        ((*agent, "--from", other), 1, "neither a .deb, an .rpm"),
        (("agent", "--root", rig.dir / "nowhere"), 2, "is not a directory"),
        (("agent", "--root", other), 1, "say with --from"),
        (("collector", "--root", other, "--collector", "192.0.2.1:7443"), 2, "are the agent's"),
    )
    before = listing(root)
    for arguments, status, words in cases:
        out = install(*arguments, status=status)
        check(words in out, f"{arguments}: expected '{words}' in\n{out}")
        check(listing(root) == before, f"{arguments}: changed {differences(before, listing(root))}")
    check(not any(other.iterdir()), "something was installed where nothing should be")
    note(f"{len(cases)} wrong calls refused, nothing changed by them")


def check_address(rig, root):
    """A new address changes that line of the configuration alone; what an operator wrote stays."""
    config = root / "etc/culprit/agent.toml"
    config.write_text(config.read_text() + '# kept\n[identity]\nsource = "machine"\n[packets]\nenabled = true\n')
    before = config.read_text().splitlines()
    install("agent", "--root", root, "--collector", "[2001:db8::1]:7443")
    changed = [(a, b) for a, b in zip(before, config.read_text().splitlines()) if a != b]
    check(changed == [(f'address = "127.0.0.1:{rig.port}"', 'address = "[2001:db8::1]:7443"')], f"changed: {changed}")
    install("agent", "--root", root, "--collector", f"127.0.0.1:{rig.port}")
    check(config.read_text().splitlines() == before, "the configuration is not what it was")


USER_DATA = """
mount -t tmpfs tmpfs "$1/over" && mkdir "$1/over/up" "$1/over/work" "$1/over/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/over/up,workdir=$1/over/work" "$1/over/root" && cd "$1/over/root"
for place in proc sys dev; do mount --rbind "/$place" "$place"; done
mkdir -p ".$1" && mount --bind "$1" ".$1" && exec chroot . bash "$1/steps.sh"
"""
STEPS = """
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
step() { echo "== $1"; shift; "$@" 2>&1; echo "status $?"; }
state() { find /etc/culprit /var/lib/culprit -type f -printf '%p %m %T@\\n' | sort; }
cd {dir}
step empty bash empty.sh
step package bash package.sh
step authority bash authority.sh
step first bash filled.sh
state >before
mv credentials.tar.gz expired
step second bash filled.sh
step unchanged bash -c "$(declare -f state); state | diff before -"
step check culprit-agent check-config
mkdir -p /run/systemd/system
printf '#!/bin/sh\\necho "$*" >>{dir}/calls\\necho active\\n' >/usr/local/sbin/systemctl && chmod 755 /usr/local/sbin/systemctl
step same bash -c '/usr/share/culprit-agent/install.sh agent --collector 192.0.2.10:7443; grep restart calls'
step other bash -c '/usr/share/culprit-agent/install.sh agent --collector 192.0.2.11:7443; grep restart calls'
rm /usr/local/sbin/systemctl && rmdir /run/systemd/system
step purge apt-get purge -y -q culprit-agent
step left ls -d /etc/culprit /var/lib/culprit /usr/sbin/culprit-agent /etc/systemd/system/multi-user.target.wants/culprit-agent.service
"""


def check_user_data(rig, packages):
    template = (TOP / "deploy/user-data.sh").read_text()
    check(len(template) <= 4096, f"user-data of {len(template)} bytes")
    digest = hashlib.sha256(packages["deb"].read_bytes()).hexdigest()
    authority = fingerprint(rig)
    run("tar", "-C", rig.credentials, "-czf", rig.dir / "credentials.tar.gz", ".")

    def fill(name, package_hash, ca_hash):
        text = template
        for key, value in (("PACKAGE_URL", f"file://{packages['deb']}"), ("PACKAGE_SHA256", package_hash), ("COLLECTOR", "192.0.2.10:7443"),
                           ("CA_SHA256", ca_hash), ("CREDENTIALS_URL", f"file://{rig.dir}/credentials.tar.gz")):
            text = text.replace(f"{key}=''", f"{key}='{value}'", 1)
        (rig.dir / name).write_text(text)

    (rig.dir / "empty.sh").write_text(template)
    fill("package.sh", "0" * 64, authority)
    fill("authority.sh", digest, "0" * 64)
    fill("filled.sh", digest, authority)
    (rig.dir / "steps.sh").write_text(STEPS.replace("{dir}", str(rig.dir)))
    (rig.dir / "over").mkdir()
    out = run("unshare", "--mount", "--propagation", "slave", "sh", "-c", USER_DATA, "sh", rig.dir, check=False).stdout
    steps = {name: (text, int(status)) for name, text, status in re.findall(r"^== (\w+)\n(.*?)^status (\d+)$", out, re.M | re.S)}
    for name, status, words in (("empty", 1, "PACKAGE_URL is not filled in"), ("package", 1, "not the one of PACKAGE_SHA256"),
                                ("authority", 1, "of another authority"), ("first", 0, "systemd does not run here"), ("second", 0, "systemd does not run here"),
                                ("unchanged", 0, ""), ("check", 0, "192.0.2.10:7443"),
                                ("same", 1, "culprit-agent runs"), ("other", 0, "restart culprit-agent.service"), ("purge", 0, "Purging"), ("left", 2, "")):
        text, code = steps.get(name, (out, None))
        check(code == status and words in text, f"{name}: status {code}, expected {status} and '{words}':\n{text}")
    check("# ERROR" not in steps["check"][0], steps["check"][0])
    check(not re.search("^/", steps["left"][0], re.M), f"left by a purge:\n{steps['left'][0]}")
    note("user-data: wrong hash and wrong authority refused, installed, again without a change, purged without a trace")


def in_root(rig, root, *command):
    """A command that runs where what was installed lies over this machine's files, /usr and /etc read-only as the unit has them."""
    (rig.dir / "work").mkdir(exist_ok=True)
    script = (f"set -e; mount -t overlay overlay -o lowerdir={root}/usr:/usr /usr; mount -t overlay overlay -o lowerdir={root}/etc:/etc /etc; "
              f"mount -t overlay overlay -o lowerdir=/var/lib,upperdir={root}/var/lib,workdir={rig.dir}/work /var/lib; exec \"$@\"")
    return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", script, "sh", *command]


def check_running(rig, root, end, port, *wrapper):
    """Starts the installed agent, wants to see a connection at the collector, and returns that and how the agent is."""
    rig.agent = Daemon(in_root(rig, root, *wrapper, "/usr/sbin/culprit-agent", "run"), rig.dir / "agent.log")
    status = ("nsenter", "--mount", "--target", rig.agent.pid, "/usr/sbin/culprit-agent", "status", "--json")

    def connected():
        now = json.loads(run(*status).stdout)
        return now if not any("not connected" in line for line in now["degraded"]) else None
    wait_until("the agent's connection", connected, 40)

    def seen():
        end.run(sys.executable, "-c", f"import socket; socket.socket().connect_ex(('192.0.2.2', {port}))")
        return rig.flows("--remote", f"192.0.2.2:{port}")
    flow = wait_until("a connection at the collector", seen, 30, 1.0)[0]
    now = json.loads(run(*status).stdout)
    code = rig.agent.stop()
    check(code == 0, f"the agent ended with {code}")
    return flow, {**{hook["name"]: hook.get("active", False) for hook in now["fidelity"]["hooks"]}, "hashes": now["fidelity"]["exe_hash_mode"],
                  "processes": [process["name"] for process in now["processes"]], "degraded": now["degraded"]}


def main():
    with Rig("install") as rig:
        rig.start_collector()
        packages = build_packages(rig)
        root = check_sources(rig, packages)
        check_refusals(rig, packages, root)
        check_address(rig, root)
        check_user_data(rig, packages)
        out = run(*in_root(rig, root, "/usr/sbin/culprit-agent", "check-config")).stdout
        check("# ERROR" not in out and "# ok       sender /usr/sbin/culprit-agent-sender" in out, out)
        end, _ = rig.namespaces()
        _, free = check_running(rig, root, end, 9)
        unit = root / "usr/lib/systemd/system/culprit-agent.service"
        flow, bound = check_running(rig, root, end, 10, sys.executable, HERE / "unit_sandbox.py", unit)
        check(bound == free, f"without and with the unit's restrictions: {differences(free, bound)}")
        note(f"under the unit's restrictions as without them: {bound}")
        note(f"a connection that it saw: {json.dumps(flow)[:160]}…")


if __name__ == "__main__":
    main()
    note("ok")
