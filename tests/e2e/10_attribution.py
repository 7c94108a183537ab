#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real programs talk between two namespaces: each connection has the right process, command line, ancestry and user,
the payload that the program itself counted, and wire bytes that add up to the interface's.

10_attribution.py [REGEX]: only the cases whose name matches."""
import contextlib
import json
import pathlib
import re
import subprocess
import sys
import time

from harness import HERE, Failure, Rig, check, note, run, wait_until

TCP, UDP, HTTP, SSH, IPERF = 7001, 7002, 8080, 2222, 5201
V4, V6 = "192.0.2.2", "2001:db8::2"
WITHIN = 0.01
EMPTY = 40, 72  # bytes of a segment without payload
RESETS = 400  # a server that closes without reading all answers each segment that is still under way


def only(rows, what):
    check(len(rows) == 1, f"{what}: expected one flow, got {len(rows)}: {json.dumps(rows)[:2000]}")
    return rows[0]


class Suite:
    def __init__(self, rig, only=""):
        self.rig, self.only = rig, only
        self.problems = []
        self.passed = 0
        self.begun = None

    def case(self, name, test):
        if not re.search(self.only, name):
            return
        began = time.monotonic()
        try:
            test()
            self.passed += 1
            note(f"ok      {name} ({time.monotonic() - began:.1f} s)")
        except (Failure, KeyError, IndexError, ValueError) as error:
            self.problems.append(name)
            note(f"not ok  {name}: {type(error).__name__}: {error}")

    def finish(self):
        note(f"{self.passed} right, {len(self.problems)} wrong")
        check(self.passed and not self.problems, "; ".join(self.problems) or "no case ran")

    # --- looking things up ---------------------------------------------------------------------------------------------
    def outbound(self, remote, remote_port, local_port, settled=True, **fields):
        """Rows of the client side of one connection, once it has ended."""
        def look():
            rows = [f for f in self.rig.flows("--remote", remote, "--port", remote_port)
                    if f["local_port"] == local_port and f["direction"] == "out"
                    and all(f[k] == v for k, v in fields.items())]
            done = [f for f in rows if not settled or f["state"] not in ("open", "attempt")]
            return rows if rows and done else None
        return wait_until(f"flow from port {local_port} to {remote}:{remote_port}", look, 25, 0.3)

    def check_process(self, flow, pid, exe, arguments, user):
        answer = self.rig.process(flow["process_id"])
        process = answer["process"]
        check(process["pid"] == pid, f"pid {process['pid']}, expected {pid}")
        check(process["exe"] == str(pathlib.Path(exe).resolve()), f"exe path {process['exe']}, expected {exe}")
        for argument in arguments:
            check(any(argument in a for a in process["argv"]), f"argv {process['argv']} lacks {argument}")
        check(process["user"] == user, f"user {process['user']}, expected {user}")
        line = [a["pid"] for a in answer["ancestors"]]
        check(line and line[-1] == 1, f"ancestry {line} does not reach pid 1")
        parents = real_parents(pid) if pathlib.Path(f"/proc/{pid}").exists() else None
        if parents:
            check([p for n, p in enumerate(line) if p not in line[:n]] == parents, f"ancestry {line}, expected {parents}")
        return answer

    def check_bytes(self, flow, tx, rx):
        check((flow["tx_payload_bytes"], flow["rx_payload_bytes"]) == (tx, rx),
              f"payload tx {flow['tx_payload_bytes']} rx {flow['rx_payload_bytes']}, the program counted {tx} and {rx}")

    @contextlib.contextmanager
    def interface_delta(self, end, deltas):
        """What passed the interface while the block ran (plus a moment for the last acknowledgements)."""
        before = end.counters()
        yield
        time.sleep(0.6)
        deltas[:] = [after - b for after, b in zip(end.counters(), before)]

    def check_wire(self, flows, deltas, unheard=1):
        """Within 1 %, or else but for at most `unheard` empty segments each way that met no socket any more."""
        for way, want, want_packets in (("tx", *deltas[:2]), ("rx", *deltas[2:])):
            got, packets = (sum(f[f"{way}_{what}"] for f in flows) for what in ("wire_bytes", "packets"))
            missing = want_packets - packets
            empty = 0 < missing <= unheard and EMPTY[0] * missing <= want - got <= EMPTY[1] * missing
            check(abs(got - want) <= WITHIN * want or empty, f"wire {way} {got} in {packets} packets, the interface counted "
                  f"{want} in {want_packets}")
            if got != want:
                note(f"        wire differs: {way} {got - want:+d} bytes, {packets} packets against {want_packets}")


def real_parents(pid):
    line = []
    while pid > 1:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rsplit(")", 1)[1].split()[1])
        line.append(pid)
    return line


# --- the programs ----------------------------------------------------------------------------------------------------------
def curl(suite, a, remote, user):
    size = 3_000_000
    deltas = []
    host = f"[{remote}]" if ":" in remote else remote
    url = f"http://{host}:{HTTP}/{size}"
    with suite.interface_delta(a, deltas):
        process = subprocess.Popen(
            a.command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-gsS", "-o", "/dev/null",
                      "-w", "%{local_port} %{size_request} %{size_header} %{size_download}", url),
            stdout=subprocess.PIPE, text=True)
        port, request, header, body = (int(v) for v in process.communicate()[0].split())
    check(body == size, f"curl got {body} bytes")
    flow = only(suite.outbound(remote, HTTP, port), "curl")
    suite.check_bytes(flow, request, header + body)
    suite.check_wire([flow], deltas)
    suite.check_process(flow, process.pid, "/usr/bin/curl", ["curl", url], user)


def talk(suite, a, binary, mode, remote, size):
    port = UDP if mode == "udp" else TCP
    deltas = []
    with suite.interface_delta(a, deltas):
        result = json.loads(a.run(binary, mode, remote, port, size).stdout)
    flow = only(suite.outbound(remote, port, result["local_port"], settled=False,
                               tx_payload_bytes=size), f"{mode} {remote}")
    check(result["tx"] == size and result["rx"] == size, f"echo incomplete: {result}")
    suite.check_bytes(flow, size, size)
    suite.check_wire([flow], deltas)
    suite.check_process(flow, result["pid"], binary, [mode, remote], "root")
    check(flow["protocol"] == ("udp" if mode == "udp" else "tcp"), f"protocol {flow['protocol']}")


def python(suite, a, kind, remote):
    size = 700_000 if kind == "tcp" else 1100
    port = TCP if kind == "tcp" else UDP
    program = (
        "import socket,sys,os\n"
        f"s=socket.socket(socket.AF_INET6 if ':' in '{remote}' else socket.AF_INET,"
        f"socket.SOCK_STREAM if '{kind}'=='tcp' else socket.SOCK_DGRAM)\n"
        f"s.connect(('{remote}',{port}))\n"
        f"s.sendall(b'p'*{size}) if '{kind}'=='tcp' else s.send(b'p'*{size})\n"
        f"n=0\nwhile n<{size}: n+=len(s.recv(65536))\n"
        "print(os.getpid(), s.getsockname()[1])\ns.close()\n")
    deltas = []
    with suite.interface_delta(a, deltas):
        pid, local = (int(v) for v in a.run(sys.executable, "-c", program).stdout.split())
    flow = only(suite.outbound(remote, port, local, settled=kind == "tcp", tx_payload_bytes=size), f"python {kind}")
    suite.check_bytes(flow, size, size)
    suite.check_wire([flow], deltas)
    suite.check_process(flow, pid, sys.executable, ["-c", "import socket"], "root")


def iperf(suite, a, remote, udp):
    options = ["-u", "-b", "20M", "-l", "1000"] if udp else ["-n", "20M"]
    deltas = []
    with suite.interface_delta(a, deltas):
        process = subprocess.Popen(
            a.command("iperf3", "-c", remote, "-p", IPERF, "-J", *options, *(["-t", "2"] if udp else [])),
            stdout=subprocess.PIPE, text=True)
        report = json.loads(process.communicate()[0])
    local = report["start"]["connected"][0]["local_port"]
    sent = report["end"]["sum"]["bytes"] if udp else report["end"]["sum_sent"]["bytes"]
    # iperf3 opens a TCP data connection with a cookie of 37 bytes, and a UDP one with 4 bytes each way.
    flow = only(suite.outbound(remote, IPERF, local, settled=not udp, protocol="udp" if udp else "tcp"), "iperf3")
    received = sent if udp else report["end"]["sum_received"]["bytes"]
    extra = 4 if udp else 37
    # At its end the TCP server closes without reading all: what the client wrote last may never have left the host.
    check(received + extra <= flow["tx_payload_bytes"] <= sent + extra,
          f"payload {flow['tx_payload_bytes']}, iperf3 sent {sent + extra}, its server read {received + extra}")
    everything = [f for f in suite.rig.flows("--remote", remote, "--port", IPERF)
                  if f["process_id"] == flow["process_id"]]
    suite.check_wire(everything, deltas, 1 if udp else RESETS)
    suite.check_process(flow, process.pid, "/usr/bin/iperf3", ["iperf3", "-c", remote], "root")


def ssh(suite, a, remote, key, config):
    deltas = []
    command = a.command("ssh", "-F", config, "-i", key, "-p", SSH, f"root@{remote}", "head -c 200000 /dev/zero; echo $PPID")
    with suite.interface_delta(a, deltas):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = process.communicate()
    check(process.returncode == 0, f"ssh: {errors.decode()}")
    check(len(output) > 200000, "ssh brought too little")
    flows = wait_until("ssh flow", lambda: [
        f for f in suite.rig.flows("--remote", remote, "--port", SSH)
        if f["pid"] == process.pid and f["state"] == "closed"], 25)
    flow = only(flows, "ssh")
    suite.check_wire([flow], deltas)
    suite.check_process(flow, process.pid, "/usr/bin/ssh", ["ssh", f"root@{remote}"], "root")
    check(flow["rx_payload_bytes"] > 200000, f"ssh payload {flow['rx_payload_bytes']}")
    # The other end of the same connection is sshd's: all its parts add up to the mirror image.
    other = [f for f in suite.rig.flows("--local-port", SSH) if f["remote_port"] == flow["local_port"] and
             f["direction"] == "in"]
    check(other and all(pathlib.Path(f["exe"]).name.startswith("sshd") for f in other),
          f"server side: {[f['exe'] for f in other]}")
    both = [(sum(f[f"{x}_payload_bytes"] for f in other)) for x in ("rx", "tx")]
    check(both == [flow["tx_payload_bytes"], flow["rx_payload_bytes"]],
          f"sshd {both} does not mirror ssh {flow['tx_payload_bytes']}, {flow['rx_payload_bytes']}")


# --- hard cases --------------------------------------------------------------------------------------------------------------
def short_lived(suite, a, binary):
    before = time.monotonic()
    result = json.loads(a.run(binary, "quick", V4, TCP, 1000).stdout)
    lived = time.monotonic() - before
    flow = only(suite.outbound(V4, TCP, result["local_port"]), "quick")
    suite.check_process(flow, result["pid"], binary, ["quick"], "root")
    check(flow["tx_payload_bytes"] == 1000, f"payload {flow['tx_payload_bytes']}")
    note(f"        a process that lived less than {lived * 1000:.0f} ms, start of ip netns included")


def forked_child(suite, a, binary, kind):
    mode, port = f"fork-{kind}", UDP if kind == "udp" else TCP
    result = json.loads(a.run(binary, mode, V4, port, 4000, 9000).stdout)
    local = result["local_port"]
    flows = wait_until("both parts", lambda: parts_of(suite, port, local, 13000), 25)
    by_pid = {f["pid"]: f["tx_payload_bytes"] for f in flows}
    check(by_pid == {result["pid"]: 4000, result["child"]: 9000},
          f"payload by pid {by_pid}, expected {result['pid']}: 4000, {result['child']}: 9000")


def parts_of(suite, port, local, total):
    rows = [f for f in suite.rig.flows("--remote", V4, "--port", port) if f["local_port"] == local]
    return rows if sum(f["tx_payload_bytes"] for f in rows) == total else None


def reuseport(suite, a, b, rig):
    servers = [rig.spawn(*b.command(sys.executable, HERE / "echo_server.py", "--reuseport", 7100), log=f"reuse-{n}.log")
               for n in range(2)]
    for server in servers:
        wait_until("reuseport server", lambda server=server: "ready" in server.log.read_text())
    program = ("import socket\n"
               "for n in range(40):\n"
               f" s=socket.create_connection(('{V4}',7100)); s.sendall(b'r'*(1000+n)); s.shutdown(1)\n"
               " while s.recv(65536): pass\n s.close()\n")
    a.run(sys.executable, "-c", program)

    def served():
        lines = [json.loads(line) for s in servers for line in s.log.read_text().splitlines() if line.startswith("{")]
        return lines if len(lines) == 40 else None
    served_lines = wait_until("40 connections served", served)
    check(len({line["pid"] for line in served_lines}) == 2, "the kernel gave all connections to one server")

    def matched():
        rows = {f["remote_port"]: f for f in rig.flows("--local-port", 7100) if f["direction"] == "in"
                and f["state"] == "closed"}
        return rows if len(rows) == 40 else None
    rows = wait_until("40 inbound flows", matched, 25)
    for line in served_lines:
        flow = rows[line["peer_port"]]
        check((flow["pid"], flow["rx_payload_bytes"], flow["tx_payload_bytes"]) ==
              (line["pid"], line["rx"], line["tx"]), f"{line} against {flow['pid']} {flow['rx_payload_bytes']}")


def refused(suite, a, binary, remote):
    result = json.loads(a.run(binary, "refused", remote, 9, 0).stdout)
    check(result["errno"] == 111, f"errno {result['errno']}")
    flow = only(suite.outbound(remote, 9, result["local_port"]), "refused")
    check((flow["state"], flow["error"]) == ("failed", "ECONNREFUSED"), f"{flow['state']} {flow['error']}")
    suite.check_process(flow, result["pid"], binary, ["refused"], "root")


def timed_out(suite, a, binary):
    a.run("sysctl", "-qw", "net/ipv4/tcp_syn_retries=1")
    a.run("ip", "neigh", "replace", "192.0.2.66", "lladdr", "02:00:00:00:00:66", "dev", a.interface, "nud", "permanent")
    deltas = []
    with suite.interface_delta(a, deltas):
        result = json.loads(a.run(binary, "refused", "192.0.2.66", 9, 0).stdout)
    check(result["errno"] == 110, f"errno {result['errno']}")
    flow = only(suite.outbound("192.0.2.66", 9, result["local_port"]), "timed out")
    check((flow["state"], flow["error"]) == ("failed", "ETIMEDOUT"), f"{flow['state']} {flow['error']}")
    check(flow["tx_wire_bytes"] == deltas[0], f"wire {flow['tx_wire_bytes']}, interface {deltas[0]}")


def before_the_agent(suite, early):
    """A connection of a process that was there first: found, its process known, its whole life counted."""
    early.process.stdin.write(b"go\n")
    early.process.stdin.flush()
    line = wait_until("the early connection's end", lambda: re.search(r"(\d+) (\d+) done", early.log.read_text()))
    pid, local = int(line.group(1)), int(line.group(2))
    flow = only(suite.outbound(V4, TCP, local), "opened before the agent started")
    suite.check_process(flow, pid, sys.executable, ["-c"], "root")
    check("preexisting" in flow["flags"], f"flags {flow['flags']}")
    suite.check_bytes(flow, 60_000, 60_000)  # 10,000 of them before


def everything_adds_up(suite, a, begin):
    """All flows of this side's namespace against its interface, since before the first of them, which is older than the agent.

    A TCP socket that is closed before its peer has closed ends as the kernel's time-wait entry. What arrives for that (a FIN)
    and what it answers (an ACK or RST) no hook sees: empty segments, at most one each way for a connection. Nor is there a socket for
    the further resets that a connection gets whose peer closed without reading all (iperf3's does)."""
    now = a.counters()
    wanted = [after - before for after, before in zip(now, begin)]
    netns = int(re.search(r"\d+", a.run("readlink", "/proc/self/ns/net").stdout).group())
    names = ("tx_wire_bytes", "tx_packets", "rx_wire_bytes", "rx_packets")

    def rows():
        return [f for f in suite.rig.flows("--include-listeners", "--include-agent")
                if f["netns"] == netns and not f["remote"].startswith(("127.", "::1"))]

    def missing(flows):
        return [want - sum(f[name] for f in flows) for want, name in zip(wanted, names)]
    with contextlib.suppress(Failure):
        wait_until("sums", lambda: not any(missing(rows())), 8, 0.5)
    flows = rows()
    tx, tx_packets, rx, rx_packets = missing(flows)
    closed = [f for f in flows if f["protocol"] == "tcp" and f["state"] == "closed"]
    connections = len(closed)
    resets = RESETS * sum(f["remote_port"] == IPERF for f in closed)
    note(f"        {len(flows)} flows; interface tx {wanted[0]} rx {wanted[2]} bytes; not in the flows: tx {tx} rx {rx} bytes in "
         f"{tx_packets} and {rx_packets} packets: segments of time-wait entries, of {connections} connections")
    for packets, size, most in ((tx_packets, tx, connections), (rx_packets, rx, connections + resets)):
        check(0 <= packets <= most and EMPTY[0] * packets <= size <= EMPTY[1] * packets,
              "the sum of wire bytes is not what the interface counted")


# --- set-up ------------------------------------------------------------------------------------------------------------------
def start_servers(rig, b):
    server = rig.spawn(*b.command(sys.executable, HERE / "echo_server.py", TCP, UDP, HTTP), log="server.log")
    wait_until("echo server", lambda: "ready" in server.log.read_text())
    rig.spawn(*b.command("iperf3", "-s", "-p", IPERF), log="iperf.log")
    keys = rig.dir / "ssh"
    keys.mkdir()
    for name in ("host", "client"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name)
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    (keys / "authorized").write_text((keys / "client.pub").read_text())
    (keys / "sshd_config").write_text(
        f"Port {SSH}\nHostKey {keys / 'host'}\nAuthorizedKeysFile {keys / 'authorized'}\nPidFile none\n"
        "StrictModes no\nPermitRootLogin yes\nUsePAM no\nPasswordAuthentication no\n")
    (keys / "ssh_config").write_text("StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nLogLevel ERROR\n"
                                     "BatchMode yes\nIdentitiesOnly yes\n")
    rig.spawn(*b.command("/usr/sbin/sshd", "-D", "-e", "-f", keys / "sshd_config"), log="sshd.log")

    def listening():
        return f":{SSH}" in b.run("ss", "-ltn").stdout and f":{IPERF}" in b.run("ss", "-ltn").stdout
    wait_until("sshd and iperf3 listening", listening)
    return keys / "client", keys / "ssh_config"


class EarlyClient:
    """Connects, sends 10,000 bytes, and goes on when told to."""

    def __init__(self, rig, a):
        program = ("import socket,os,sys\n"
                   f"s=socket.create_connection(('{V4}',{TCP}))\n"
                   "def swap(n):\n s.sendall(b'e'*n); got=0\n while got<n: got+=len(s.recv(65536))\n"
                   "swap(10000); print('open', flush=True); sys.stdin.readline(); swap(50000)\n"
                   "p=s.getsockname()[1]; s.close(); print(os.getpid(), p, 'done', flush=True)\n")
        self.log = rig.dir / "early.log"
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(a.command(sys.executable, "-c", program), stdin=subprocess.PIPE, stdout=output)
        rig.cleanups.append(self.process.kill)
        wait_until("early connection", lambda: "open" in self.log.read_text())


def main():
    with Rig("attribution") as rig:
        suite = Suite(rig, *sys.argv[1:2])
        binary = rig.compile("talk", "-static")
        a, b = rig.namespaces()
        key, config = start_servers(rig, b)
        begin = a.counters()
        early = EarlyClient(rig, a)
        rig.start_collector()
        rig.start_agent()
        rig.settle(a)
        for remote in (V4, V6):
            suite.case(f"curl to {remote} as nobody", lambda: curl(suite, a, remote, "nobody"))
            suite.case(f"ssh to {remote}", lambda: ssh(suite, a, remote, key, config))
            for kind in ("tcp", "udp"):
                size = 900_000 if kind == "tcp" else 60_000
                suite.case(f"iperf3 {kind} to {remote}", lambda: iperf(suite, a, remote, kind == "udp"))
                suite.case(f"python {kind} to {remote}", lambda: python(suite, a, kind, remote))
                suite.case(f"static binary {kind} to {remote}", lambda: talk(suite, a, binary, kind, remote, size))
            suite.case(f"refused by {remote}", lambda: refused(suite, a, binary, remote))
        suite.case("a process that lives 5 ms", lambda: short_lived(suite, a, binary))
        for kind in ("udp", "tcp"):
            suite.case(f"a forked child sends on its parent's {kind} socket", lambda: forked_child(suite, a, binary, kind))
        suite.case("two processes share a port by SO_REUSEPORT", lambda: reuseport(suite, a, b, rig))
        suite.case("timed out", lambda: timed_out(suite, a, binary))
        suite.case("opened before the agent started", lambda: before_the_agent(suite, early))
        suite.case("the sum of wire bytes is the interface's", lambda: everything_adds_up(suite, a, begin))
        suite.finish()


if __name__ == "__main__":
    main()
