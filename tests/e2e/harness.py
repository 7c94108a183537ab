# SPDX-License-Identifier: Apache-2.0
"""A private Culprit for one test: own directories and port, own processes only, two namespaces joined by a veth pair.

    with Rig("attribution") as rig:
        rig.start_collector(); rig.start_agent(); a, b = rig.namespaces()
        ...
        rig.flows("--remote", "192.0.2.2")

Everything that a Rig started is ended and removed when the block is left, however it is left. The agent watches the
whole host, so tests select their own flows by address, port or process.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BIN = pathlib.Path(os.environ.get("CULPRIT_BIN", TOP / "build/dev/bin"))
NO_MATCH = 3  # exit status of `culprit` for an empty answer
PATIENCE = float(os.environ.get("CULPRIT_PATIENCE", "1"))  # factor for waiting: an emulated machine is slow
SKIP = 77  # ctest's "did not run", which tests/run.sh counts as a failure


class Failure(Exception):
    """What was expected and did not hold."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def note(text):
    print(text, flush=True)


def run(*command, **options):
    options.setdefault("check", True)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.STDOUT)
    options.setdefault("text", True)
    try:
        return subprocess.run([str(c) for c in command], **options)
    except subprocess.CalledProcessError as error:
        raise Failure(f"{' '.join(map(str, command))}: exit {error.returncode}\n{error.stdout}") from error


def wait_until(what, condition, seconds=20.0, pause=0.1):
    """condition() -> a true value, which is returned. Failures inside count as not yet."""
    deadline = time.monotonic() + seconds * PATIENCE
    last = None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (Failure, KeyError, IndexError, ValueError) as error:
            last = error
        time.sleep(pause)
    raise Failure(f"not within {seconds} s: {what} (last: {last})")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def descendants(pid):
    """Pids of the children of a process, and of theirs."""
    found, queue = [], [pid]
    while queue:
        for task in pathlib.Path(f"/proc/{queue.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                children = [int(p) for p in task.read_text().split()]
                found += children
                queue += children
    return found


def cpu_ns(pid):
    """CPU time of the threads that a process has, by the scheduler's own clock: ticks miss what is shorter than one."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(task.read_text().split()[0])
    return total


class Namespace:
    """One end of the veth pair."""

    def __init__(self, name, interface, mac, v4, v6):
        self.name, self.interface, self.mac, self.v4, self.v6 = name, interface, mac, v4, v6

    def command(self, *command):
        return ["ip", "netns", "exec", self.name, *map(str, command)]

    def run(self, *command, **options):
        return run(*self.command(*command), **options)

    def counters(self):
        """L3 bytes and packets of the interface: (tx_bytes, tx_packets, rx_bytes, rx_packets) without Ethernet headers."""
        names = ("tx_bytes", "tx_packets", "rx_bytes", "rx_packets")
        paths = [f"/sys/class/net/{self.interface}/statistics/{n}" for n in names]
        txb, txp, rxb, rxp = (int(v) for v in self.run("cat", *paths).stdout.split())
        return txb - 14 * txp, txp, rxb - 14 * rxp, rxp


class Daemon:
    """A process of ours with a log file."""

    def __init__(self, command, log, **options):
        self.command, self.log = [str(c) for c in command], pathlib.Path(log)
        self.output = open(self.log, "ab")
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=subprocess.STDOUT, start_new_session=True, **options)

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process.poll() is None

    def tail(self, lines=25):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def kill(self):
        """kill -9 of the daemon itself; its children notice on their own."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        self.output.close()

    def stop(self, seconds=30.0):
        """SIGTERM, and SIGKILL for it and its children after a while. Returns the exit status."""
        children = descendants(self.pid) if self.alive() else []
        if self.alive():
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            note(f"{self.command[0]} did not stop within {seconds} s")
            self.process.kill()
            self.process.wait()
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        self.output.close()
        return self.process.returncode


class Rig:
    def __init__(self, name):
        self.name = name
        self.cleanups = []
        self.collector = self.agent = None
        self.port = free_port()

    def __enter__(self):
        if os.geteuid() != 0:
            note("root is needed")
            sys.exit(SKIP)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"culprit-e2e-{self.name}-"))
        self.dir.chmod(0o755)
        self.pki = self.dir / "pki"
        self.credentials = self.dir / "agent-credentials"
        self.agent_extra = self.collector_extra = self.agent_state = ""
        self.place = []  # what daemons and `culprit` are started by, see live_in()
        return self

    def __exit__(self, kind, error, _trace):
        if error is not None and not isinstance(error, SystemExit):
            for daemon in (self.collector, self.agent):
                if daemon is not None and daemon.log.exists():
                    note(f"--- last lines of {daemon.log.name}\n{daemon.tail()}")
        for daemon in (self.agent, self.collector):
            if daemon is not None:
                daemon.stop(10)
        for undo in reversed(self.cleanups):
            with contextlib.suppress(Exception):
                undo()
        if os.environ.get("KEEP"):
            note(f"kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        if isinstance(error, Failure):
            note(f"FAILED: {error}")
            sys.exit(1)
        return False

    # --- certificates, configuration, daemons ------------------------------------------------------------------------
    def make_certificates(self):
        if not self.pki.exists():
            run(BIN / "culprit-collector", "init", "--dir", self.pki)
            run(BIN / "culprit-collector", "issue", "agent", f"e2e-{self.name}", "--pki", self.pki,
                "--out", self.credentials)

    # No finding takes a snapshot of the machine that tests run on: that is done in a box (snapshot_box.py).
    takes_snapshots = False

    def write_collector_config(self, data=None):
        path = self.dir / "collector.toml"
        path.write_text(f'listen = "127.0.0.1:{self.port}"\ndata_dir = "{data or self.dir / "collector"}"\n'
                        f'pki_dir = "{self.pki}"\n{self.collector_extra}' + ("" if self.takes_snapshots else '[snapshot]\non_finding = "off"\n'))
        return path

    def write_agent_config(self):
        path = self.dir / "agent.toml"
        path.write_text(
            f'state_dir = "{self.agent_state or self.dir / "agent"}"\n'
            f'[identity]\nsource = "machine"\n'
            f'[collector]\naddress = "127.0.0.1:{self.port}"\nca = "{self.credentials / "ca.pem"}"\n'
            f'certificate = "{self.credentials / "agent.pem"}"\nkey = "{self.credentials / "agent.key"}"\n'
            f'[snapshot]\nenabled = {str(self.takes_snapshots).lower()}\n{self.agent_extra}')
        return path

    def live_in(self, namespace):
        """Daemons that are started from now on live in this network namespace, whose packets the agent then captures."""
        self.place = ["nsenter", f"--net=/run/netns/{namespace.name}"]

    def start_collector(self, data=None, wait=True):
        self.make_certificates()
        config = self.write_collector_config(data)
        self.collector = Daemon([*self.place, BIN / "culprit-collector", "run", "--config", config], self.dir / "collector.log")
        if wait:
            self.await_port(self.collector)
        return self.collector

    def await_port(self, daemon, seconds=20):
        def listening():
            check(daemon.alive(), f"{daemon.command[0]} ended:\n{daemon.tail()}")
            return f":{self.port} " in run(*self.place, "ss", "-ltn").stdout
        wait_until(f"listening on {self.port}", listening, seconds, 0.05)

    def start_agent(self, wait=True, arguments=()):
        self.make_certificates()
        config = self.write_agent_config()
        self.agent = Daemon([*self.place, BIN / "culprit-agent", "run", "--config", config, *arguments], self.dir / "agent.log")
        if wait:
            wait_until("agent seen by the collector", self.host, 30)
        return self.agent

    # --- questions ----------------------------------------------------------------------------------------------------
    def culprit(self, *arguments):
        if PATIENCE > 1 and "--timeout" not in arguments:
            arguments = (*arguments, "--timeout", f"{10 * PATIENCE:.0f}s")
        done = run(*self.place, BIN / "culprit", "--collector", f"127.0.0.1:{self.port}", "--credentials", self.pki, *arguments,
                   stderr=subprocess.PIPE, check=False)
        check(done.returncode in (0, NO_MATCH), f"culprit {' '.join(map(str, arguments))}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def query(self, *arguments):
        """The rows of an answer: one JSON document a line."""
        return [json.loads(line) for line in self.culprit(*arguments, "--json").splitlines()]

    def host(self):
        hosts = self.query("hosts")
        return hosts[0] if hosts else None

    def flows(self, *arguments):
        """All flows that match."""
        return self.query("flows", "--limit", "0", *arguments)

    def process(self, process_id, *arguments):
        return self.query("process", process_id, *arguments)[0]

    def status(self):
        return self.query("status")[0]

    def agent_status(self):
        return json.loads(run(BIN / "culprit-agent", "status", "--json", "--config", self.dir / "agent.toml").stdout)

    # --- network --------------------------------------------------------------------------------------------------------
    def namespaces(self):
        """Two namespaces, 192.0.2.1 and .2, 2001:db8::1 and ::2: no ARP, no ND, no offloads, no route out."""
        tag = f"{os.getpid() % 100000}"
        a = Namespace(f"culprit-a-{tag}", f"ca{tag}", "02:00:00:00:00:01", "192.0.2.1", "2001:db8::1")
        b = Namespace(f"culprit-b-{tag}", f"cb{tag}", "02:00:00:00:00:02", "192.0.2.2", "2001:db8::2")
        for end in (a, b):
            run("ip", "netns", "add", end.name)
            self.cleanups.append(lambda name=end.name: run("ip", "netns", "del", name))
            for key in ("all/accept_ra=0", "all/router_solicitations=0", "default/router_solicitations=0",
                        "default/accept_ra=0", "default/accept_dad=0", "default/dad_transmits=0"):
                end.run("sysctl", "-qw", f"net/ipv6/conf/{key}")
        run("ip", "link", "add", a.interface, "address", a.mac, "netns", a.name, "type", "veth",
            "peer", "name", b.interface, "address", b.mac, "netns", b.name)
        for end, peer in ((a, b), (b, a)):
            end.run("ip", "link", "set", "lo", "up")
            end.run("ethtool", "-K", end.interface, "tso", "off", "gso", "off", "gro", "off", check=False)
            end.run("ip", "addr", "add", f"{end.v4}/24", "dev", end.interface)
            end.run("ip", "addr", "add", f"{end.v6}/64", "dev", end.interface, "nodad")
            end.run("ip", "link", "set", end.interface, "up")
            for address in (peer.v4, peer.v6):
                end.run("ip", "neigh", "replace", address, "lladdr", peer.mac, "dev", end.interface, "nud", "permanent")
        self.settle(a)
        return a, b

    def far_end(self):
        """A namespace with 198.51.100.2, joined to this one, which has 198.51.100.1: for what must pass where the agent lives. Returns the
        name of this end's interface, and the namespace."""
        tag = f"{os.getpid() % 100000}"
        here, far = f"cf{tag}", Namespace(f"culprit-f-{tag}", f"ct{tag}", "02:00:00:00:00:22", "198.51.100.2", "")
        run("ip", "netns", "add", far.name)
        self.cleanups.append(lambda: run("ip", "netns", "del", far.name))
        run("ip", "link", "add", here, "type", "veth", "peer", "name", far.interface, "address", far.mac, "netns", far.name)
        self.cleanups.append(lambda: run("ip", "link", "del", here, check=False))
        for end, interface, address in ((run, here, "198.51.100.1"), (far.run, far.interface, far.v4)):
            end("ethtool", "-K", interface, "tso", "off", "gso", "off", "gro", "off", check=False)
            end("ip", "addr", "add", f"{address}/24", "dev", interface)
            end("ip", "link", "set", interface, "up")
        far.run("ip", "link", "set", "lo", "up")
        return here, far

    def settle(self, end, seconds=2.5, limit=20):
        """Waits until the interface has been silent for a while (multicast reports after it came up)."""
        last, since, deadline = end.counters(), time.monotonic(), time.monotonic() + limit
        while time.monotonic() - since < seconds and time.monotonic() < deadline:
            time.sleep(0.25)
            now = end.counters()
            if now != last:
                last, since = now, time.monotonic()

    def spawn(self, *command, log=None, **options):
        """A helper process of the test, ended with the rig."""
        daemon = Daemon(command, self.dir / (log or f"helper-{len(self.cleanups)}.log"), **options)
        self.cleanups.append(lambda: daemon.stop(2))
        return daemon

    def compile(self, name, *flags, compiler="gcc"):
        """A C program of tests/e2e/bins, by name; where there is no compiler, one that was put there before."""
        if "CULPRIT_HELPERS" in os.environ:
            return pathlib.Path(os.environ["CULPRIT_HELPERS"]) / name
        target = self.dir / name
        run(compiler, "-O2", "-Wall", "-Wextra", "-Werror", *flags, "-o", target, HERE / "bins" / f"{name}.c")
        return target
