# SPDX-License-Identifier: Apache-2.0
"""Whose socket is it: inherited, passed, shared, older than the agent, left behind, and processes of unusual birth."""
import json
import pathlib
import subprocess

from bench import DISCARD, ECHO, HOLD, V4, Failure, Party, Verdict, check, near, party_of, ratio, run, wait_until

SCENARIOS = []
SSH = 2222


def scenario(name, title):
    def register(function):
        SCENARIOS.append((name, title, function))
        return function
    return register


# --- one socket, several processes --------------------------------------------------------------------------------------------
def handed(bench, mode):
    """Each process sends and reads its own part, one after the other."""
    first, second = bench.size((3_000_000, 5_000_000), (200_000, 450_000))
    with bench.trial() as trial:
        results = bench.generator("hand", mode, V4, ECHO, first, second).result()
    check([r["tx"] for r in results] == [first, second], f"the generator: {results}")
    parties = [party_of(r) for r in results]
    parties[0].words, parties[1].words = (mode, V4), ("receive",) if mode == "pass" else (mode, V4)
    return trial.judge(*parties)


@scenario("x09", "socket inherited by fork")
def inherited(bench):
    return handed(bench, "fork")


@scenario("x10", "socket passed by SCM_RIGHTS")
def passed(bench):
    return handed(bench, "pass")


@scenario("x11", "SO_REUSEPORT pair")
def reuseport(bench):
    count, size = bench.size(400, 60), 2_000
    servers = [bench.start_peer(bench.b, "share", 7100) for _ in range(2)]
    try:
        with bench.trial(bench.b) as trial:
            (client,) = bench.generator("stream", "many", V4, 7100, size, count).result()

        def told():
            lines = [json.loads(line) for s in servers for line in s.log.read_text().splitlines() if "peer_port" in line]
            return lines if len(lines) == count else None
        served = wait_until("all connections served", told)
        shares = [sum(line["rx"] for line in served if line["pid"] == s.pid) for s in servers]
        check(all(shares), "the kernel gave all connections to one server")
        parties = [Party(s.pid, bench.programs["peer"], 0, share, ("share", "7100")) for s, share in zip(servers, shares)]
        verdict = trial.judge(*parties, allowed=count)
        owners = {line["peer_port"]: line["pid"] for line in served}
        wrong = [r for r in trial.rows() if r["direction"] == "in" and owners.get(r["remote_port"]) != r["pid"]]
        if wrong or client["tx"] != size * count:
            verdict.process = False
            verdict.notes.append(f"{len(wrong)} connections are charged to the other server")
        return verdict
    finally:
        for server in servers:
            server.stop()


# --- the agent came later, or again --------------------------------------------------------------------------------------------
EARLY = []
EARLY_BYTES = 400_000


def open_early(bench, trials):
    """Connections that are there, and have moved bytes, when the agent starts."""
    for _ in range(trials):
        generator = bench.generator("stream", "staged", V4, ECHO, EARLY_BYTES, 2)
        generator.line()
        generator.go()
        generator.line()
        EARLY.append(generator)


BEFORE_AGENT = {"x12": open_early}


def judge_old(bench, trial, result, counted, words, flag):
    """A flow that began before the trial: its payload stands in the connection's own counters, whenever the agent came."""
    party = Party(result["pid"], result["exe"], result["tx"], result["rx"], words)
    verdict = trial.judge(party, old_pid=party.pid, wire=False)
    rows = trial.rows(party.pid)
    if not any(flag in r["flags"] for r in rows):
        verdict.process = False
        verdict.notes.append(f"flags {[r['flags'] for r in rows]} do not say '{flag}'")
    wire = sum(r["tx_wire_bytes"] + r["rx_wire_bytes"] for r in rows)
    verdict.info.append(f"wire bytes {wire}; the interface in the part that was watched: {counted}")
    return verdict


@scenario("x12", "connection older than the agent")
def older(bench):
    generator = EARLY.pop()
    with bench.trial() as trial:
        generator.go()
        generator.line()
        generator.go()
        (result,) = generator.result()
    verdict = judge_old(bench, trial, result, trial.wire[0] + trial.wire[2], ("staged", V4), "preexisting")
    rows = trial.rows(result["pid"])
    wire = [sum(r[n] for r in rows) for n in ("tx_wire_bytes", "rx_wire_bytes")]
    reread = any("reread" in r["flags"] for r in rows)
    # Re-read, the wire bytes of the time before are an estimate from the connection's counters: no truth to hold them to.
    if not reread:
        verdict.wire = max(ratio(wire[0], trial.wire[0]), ratio(wire[1], trial.wire[2]), key=lambda r: abs(r - 1))
        verdict.bytes_right = verdict.bytes_right and near(verdict.wire)
    return verdict


@scenario("x13", "agent restarted in mid-flow")
def restarted(bench):
    """Bytes before the stop, while there is no agent, and after the start: all in one flow of one process."""
    rig, size = bench.rig, bench.size(4_000_000, 500_000)
    with bench.trial() as trial:
        generator = bench.generator("stream", "staged", V4, ECHO, size, 3)
        pid = generator.line()["step"]
        generator.go()
        generator.line()
        wait_until("the flow before the stop", lambda: rig.flows("--pid", pid, "--since", trial.since()), 10)
        rig.agent.stop()
        generator.go()
        generator.line()
        rig.start_agent()
        wait_until("the agent's status after its start", lambda: rig.agent_status(), 20)
        generator.go()
        generator.line()
        generator.go()
        (result,) = generator.result()
    return judge_old(bench, trial, result, trial.wire[0] + trial.wire[2], ("staged", V4), "preexisting")


# --- executables without a file -------------------------------------------------------------------------------------------------
def without_file(bench, how, flag):
    size = bench.size(5_000_000, 500_000)
    with bench.trial() as trial:
        (result,) = bench.generator("hand", how, bench.programs["stream"], "up", V4, DISCARD, size).result()
    rows = wait_until("a row", lambda: [r for r in trial.rows() if r["pid"] == result["pid"]], 10)
    process = bench.rig.process(rows[0]["process_id"])["process"]
    expected = "nothing-on-disk" if how == "memfd" else "stream-gone"
    party = Party(result["pid"], process["exe"], result["tx"], result["rx"], ("up", V4))
    verdict = trial.judge(party)
    verdict.info.append(f"exe '{process['exe']}'")
    if expected not in process["exe"] or not process[flag]:
        verdict.process = False
        verdict.notes.append(f"{flag} {process[flag]}, exe {process['exe']}: expected {expected}")
    return verdict


@scenario("x14", "executable in a memfd")
def memfd(bench):
    return without_file(bench, "memfd", "exe_memfd")


@scenario("x15", "executable already deleted")
def deleted(bench):
    return without_file(bench, "deleted", "exe_deleted")


@scenario("x16", "a pid used twice")
def pid_reuse(bench):
    sizes = bench.size((3_000_000, 5_000_000), (200_000, 350_000))
    other = bench.rig.dir / "stream-again"
    if not other.exists():
        run("cp", bench.programs["stream"], other)
    with bench.trial() as trial:
        (first,) = bench.generator("stream", "up", V4, DISCARD, sizes[0]).result()
        (second,) = bench.generator("hand", "pid", first["pid"], other, "up", V4, DISCARD, sizes[1]).result()
    check(first["pid"] == second["pid"] and second["exe"] == str(other), f"the generator: {first} {second}")
    verdict = Verdict()
    for result in (first, second):
        part = trial.judge(party_of(result, "up", V4), keep=lambda row, exe=result["exe"]: row["exe"] == exe, wire=False)
        verdict.notes += part.notes
        verdict.payload = part.payload if verdict.payload in (None, 1.0) else verdict.payload
        verdict.process = part.process and (verdict.process or result is first)
    rows = trial.rows()
    if len({r["process_id"] for r in rows}) != 2:
        verdict.process = False
        verdict.notes.append(f"process ids {sorted({r['process_id'] for r in rows})}")
    verdict.bytes_right = near(verdict.payload)
    trial.compare_wire(rows, 0, verdict)
    return verdict


# --- gone before its bytes ----------------------------------------------------------------------------------------------------
@scenario("x17", "process gone, kernel still drains")
def drained(bench):
    """The process fills the send buffer and exits; only then does the other side begin to read."""
    size = bench.size(100_000_000, 20_000_000)
    served = len(bench.peer.log.read_text().splitlines())
    with bench.trial() as trial:
        (result,) = bench.generator("stream", "leave", V4, HOLD, size).result()
        check(result["tx"] == size, f"the generator: {result}")
        release = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'go', ('127.0.0.1', 7105))"
        bench.b.run("python3", "-c", release)
        line = wait_until("the peer has read all", lambda: bench.peer.log.read_text().splitlines()[served:], 60)[-1]
    check(json.loads(line)["rx"] == size, f"the peer: {line}")
    return trial.judge(party_of(result, "leave", V4), allowed=1)


# --- ssh -------------------------------------------------------------------------------------------------------------------------
def start_sshd(bench):
    keys = bench.rig.dir / "ssh"
    if keys.exists():
        return keys
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
    bench.rig.spawn(*bench.b.command("/usr/sbin/sshd", "-D", "-e", "-f", keys / "sshd_config"), log="sshd.log")
    wait_until("sshd listening", lambda: f":{SSH}" in bench.b.run("ss", "-ltn").stdout)
    bench.start_peer(bench.a, "at", bench.a.v4, DISCARD)
    return keys


@scenario("x18", "ssh login -> child -> flow")
def ssh_login(bench):
    """A program run over ssh opens a connection: its ancestry leads to the sshd that holds the login's own connection."""
    keys = start_sshd(bench)
    size = bench.size(3_000_000, 300_000)
    program = [bench.programs["stream"], "up", bench.a.v4, DISCARD, size]
    with bench.trial(bench.b) as trial:
        output = bench.a.run("ssh", "-F", keys / "ssh_config", "-i", keys / "client", "-p", SSH, f"root@{V4}",
                             f"echo $SSH_CONNECTION; {' '.join(map(str, program))}", stderr=subprocess.PIPE).stdout.splitlines()
    login_port = int(output[0].split()[1])
    result = json.loads(output[1])
    verdict = trial.judge(party_of(result, "up", bench.a.v4), keep=lambda row: row["pid"] == result["pid"], wire=False)
    rows = [r for r in trial.rows() if r["pid"] == result["pid"]]
    check(rows, f"no row for pid {result['pid']}")
    ancestors = [p["process_id"] for p in bench.rig.process(rows[0]["process_id"])["ancestors"]]

    def login():
        return [r for r in bench.rig.flows("--local-port", SSH) if r["remote_port"] == login_port and r["direction"] == "in"
                and r["process_id"] in ancestors]
    try:
        logins = wait_until("the login's own connection among the ancestors", login, 10)
        verdict.info.append(f"login from {logins[0]['remote']}:{login_port} held by pid {logins[0]['pid']} {logins[0]['exe']}")
    except Failure as error:
        verdict.process = False
        verdict.notes.append(str(error))
    return verdict
