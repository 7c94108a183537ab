# SPDX-License-Identifier: Apache-2.0
"""The 24 scenarios of the public benchmark of picosnitch: every way in which a program moves bytes."""
import json
import os
import pathlib
import shutil
import socket
import subprocess

from bench import (DISCARD, ECHO, SOURCE, U_DISCARD, U_SOURCE, V4, V6, Generator, NotHere, Party, check, host_pid, party_of, run)

SCENARIOS = []


def scenario(name, title):
    def register(function):
        SCENARIOS.append((name, title, function))
        return function
    return register


def one(bench, program, *arguments, allowed=0, user="root", **options):
    """One generator, run to its end."""
    with bench.trial() as trial:
        (result,) = bench.generator(program, *arguments, user=user).result()
    return trial.judge(party_of(result, *arguments, user=user), allowed=allowed, **options)


@scenario("s01", "TCP down")
def tcp_down(bench):
    return one(bench, "stream", "down", V4, SOURCE, bench.size(50_000_000, 3_000_000))


@scenario("s02", "TCP up")
def tcp_up(bench):
    return one(bench, "stream", "up", V4, DISCARD, bench.size(50_000_000, 3_000_000))


@scenario("s03", "TCP duplex")
def tcp_duplex(bench):
    return one(bench, "stream", "duplex", V4, ECHO, bench.size(20_000_000, 2_000_000))


@scenario("s04", "UDP up")
def udp_up(bench):
    return one(bench, "dgram", "up", V4, U_DISCARD, bench.size(20_000, 2_000), 1200)


@scenario("s05", "ICMP flood")
def icmp_flood(bench):
    return one(bench, "raw", "icmp", V4, bench.size(20_000, 2_000), 1000)


@scenario("s06", "UDP port 443")
def udp_443(bench):
    return one(bench, "dgram", "up", V4, 443, bench.size(20_000, 2_000), 1250)


@scenario("s07", "TCP over IPv6")
def tcp_v6(bench):
    return one(bench, "stream", "up", V6, DISCARD, bench.size(20_000_000, 2_000_000), user="nobody")


@scenario("s08", "SCTP")
def sctp(bench):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM):
        try:
            socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
        except OSError as error:
            raise NotHere("kernel without SCTP") from error
    # Chunk headers count as payload of the IP packet: bytes are compared on the wire.
    return one(bench, "stream", "sctp", V4, DISCARD, bench.size(10_000_000, 1_000_000), payload=False)


@scenario("s09", "UDP port 53, small packets")
def udp_small(bench):
    return one(bench, "dgram", "echo", V4, 53, bench.size(10_000, 1_500), 40, user="nobody")


@scenario("s10", "raw IP, protocol 253")
def raw_253(bench):
    return one(bench, "raw", "proto253", V4, bench.size(10_000, 1_500), 900)


@scenario("s11", "short-lived processes")
def short_lived(bench):
    count, size = bench.size(200, 40), 700
    arguments = ["quick", V4, DISCARD, size]
    with bench.trial() as trial:
        results = bench.generator("hand", "each", count, bench.programs["stream"], *arguments).result()
    check(len({r["pid"] for r in results}) == count, "processes share a pid")
    return trial.judge(*(party_of(r, *arguments) for r in results), allowed=count)


@scenario("s12", "AF_PACKET")
def packet_socket(bench):
    return link(bench, "link")


def link(bench, mode):
    """Frames of the generator's own making; its flow rows carry the flag "link", and there is no other traffic."""
    with bench.trial() as trial:
        (result,) = bench.generator("raw", mode, bench.a.interface, bench.b.mac, V4, U_DISCARD,
                                    bench.size(10_000, 1_500), 800).result()
    party = party_of(result, mode)
    party.tx, party.rx = None, None  # tx is L3 bytes here: compared on the wire
    return trial.judge(party, keep=lambda row: "link" in row["flags"])


@scenario("s13", "io_uring out")
def uring_out(bench):
    return one(bench, "uring", "out", V4, DISCARD, bench.size(20_000_000, 2_000_000))


@scenario("s14", "sendfile")
def sendfile(bench):
    return one(bench, "stream", "sendfile", V4, DISCARD, bench.size(50_000_000, 3_000_000))


@scenario("s15", "sendmmsg")
def sendmmsg(bench):
    return one(bench, "dgram", "sendmmsg", V4, U_DISCARD, bench.size(20_000, 2_000), 1100)


@scenario("s16", "loopback")
def loopback(bench):
    """Both ends in one namespace: two processes, two flows, each packet sent by one and received by the other."""
    local = bench.start_peer(bench.a, "at", "127.0.0.1", DISCARD)
    size = bench.size(50_000_000, 3_000_000)
    try:
        with bench.trial(loopback=True) as trial:
            (result,) = bench.generator("stream", "up", "127.0.0.1", DISCARD, size).result()
        server = Party(local.pid, bench.programs["peer"], 0, size, ("at", "127.0.0.1"))
        return trial.judge(party_of(result, "up", "127.0.0.1"), server)
    finally:
        local.stop()


# --- container ---------------------------------------------------------------------------------------------------------------
def unified_hierarchy():
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        if line.split()[2] == "cgroup2":
            return pathlib.Path(line.split()[1])
    raise NotHere("no cgroup2 mount")


class RuncContainer:
    """A bundle of one static binary, run by runc in the bench's network namespace."""
    name = "runc"

    def __init__(self, bench, container):
        self.bench, self.id = bench, container
        self.bundle = bench.rig.dir / f"bundle-{container[:12]}"
        (self.bundle / "rootfs").mkdir(parents=True)
        shutil.copy(bench.programs["stream"], self.bundle / "rootfs/stream")
        self.exe = "/stream"

    def command(self, arguments):
        run("runc", "spec", cwd=self.bundle)
        path = self.bundle / "config.json"
        spec = json.loads(path.read_text())
        spec["process"].update(terminal=False, args=["/stream", *map(str, arguments)], env=["GEN_WAIT=1"])
        spec["root"]["readonly"] = True
        spec["linux"]["cgroupsPath"] = f"/docker/{self.id}"
        for namespace in spec["linux"]["namespaces"]:
            if namespace["type"] == "network":
                namespace["path"] = f"/var/run/netns/{self.bench.a.name}"
        path.write_text(json.dumps(spec))
        return ["runc", "--root", self.bundle / "state", "run", "--bundle", self.bundle, self.id]

    def close(self):
        shutil.rmtree(self.bundle, ignore_errors=True)


class OwnContainer:
    """Pid, mount, UTS and IPC namespaces, and a cgroup named as Docker names them."""
    name = "own namespaces and a cgroup docker/ID"

    def __init__(self, bench, container):
        self.bench, self.id, self.exe = bench, container, bench.programs["stream"]
        self.cgroup = unified_hierarchy() / "docker" / container
        self.cgroup.mkdir(parents=True)

    def command(self, arguments):
        script = f'echo $$ > {self.cgroup}/cgroup.procs; exec "$@"'
        return ["sh", "-c", script, "sh", *self.bench.a.command(
            "unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "--ipc", self.exe, *arguments)]

    def close(self):
        os.rmdir(self.cgroup)
        if not any(p.is_dir() for p in self.cgroup.parent.iterdir()):
            os.rmdir(self.cgroup.parent)


def runc_works():
    if not shutil.which("runc"):
        return False
    return subprocess.run(["runc", "--version"], stdout=subprocess.DEVNULL, check=False).returncode == 0


@scenario("s17", "container")
def container(bench):
    identity = os.urandom(32).hex()
    box = (RuncContainer if runc_works() else OwnContainer)(bench, identity)
    size = bench.size(20_000_000, 2_000_000)
    arguments = ["up", V4, DISCARD, size]
    try:
        with bench.trial() as trial:
            generator = Generator(bench, box.command(arguments), GEN_WAIT=1)
            generator.line()
            pid = host_pid(generator.process.pid, "stream")
            generator.go()
            (result,) = generator.result()
        party = Party(pid, box.exe, result["tx"], result["rx"], ("up", V4))
        verdict = trial.judge(party)
        found = {r["container_id"] for r in trial.rows()}
        verdict.info.append(f"container by {box.name}")
        if found != {identity}:
            verdict.process = False
            cgroup = bench.rig.process(trial.rows()[0]["process_id"])["process"]["cgroup"]
            verdict.notes.append(f"container id {found}, started as {identity}; cgroup '{cgroup}'")
        return verdict
    finally:
        box.close()


# --- shapes ------------------------------------------------------------------------------------------------------------------
@scenario("s18", "slow drip")
def slow_drip(bench):
    return one(bench, "stream", "drip", V4, DISCARD, bench.size(250, 40))


@scenario("s19", "many small TCP")
def many_small(bench):
    count = bench.size(2_000, 200)
    return one(bench, "stream", "many", V4, DISCARD, 120, count, allowed=count)


@scenario("s20", "parallel burst")
def parallel_burst(bench):
    return one(bench, "stream", "burst", V4, DISCARD, bench.size(500_000, 60_000), bench.size(100, 40))


@scenario("s21", "io_uring in")
def uring_in(bench):
    return one(bench, "uring", "in", V4, SOURCE, bench.size(20_000_000, 2_000_000))


@scenario("s22", "splice")
def splice(bench):
    return one(bench, "stream", "splice", V4, DISCARD, bench.size(50_000_000, 3_000_000))


@scenario("s23", "recvmmsg")
def recvmmsg(bench):
    return one(bench, "dgram", "recvmmsg", V4, U_SOURCE, bench.size(20_000, 2_000), 1100)


@scenario("s24", "UDP over IPv6")
def udp_v6(bench):
    return one(bench, "dgram", "to", V6, U_DISCARD, bench.size(20_000, 2_000), 1200)
