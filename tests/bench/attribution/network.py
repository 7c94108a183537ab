# SPDX-License-Identifier: Apache-2.0
"""What an intruder's traffic looks like: scans, floods, frames past the queues, relays without a socket, twins of tuples."""
import contextlib
import os
import signal

from bench import (DISCARD, ECHO, TIMEWAIT_BYTES, V4, Failure, Party, check, near, party_of, ratio, run, wait_until, worst)
from harness import Namespace
from public import link

SCENARIOS = []
DEAD = "192.0.2.66"


def scenario(name, title):
    def register(function):
        SCENARIOS.append((name, title, function))
        return function
    return register


# --- scans and floods --------------------------------------------------------------------------------------------------------
def counters_of(bench, trial, pid):
    """The process's own counters: what is left where single attempts have no row (over 200 failures a second)."""
    rows = [r for r in trial.rows() if r["pid"] == pid]
    check(rows, f"no row for pid {pid}")
    return bench.rig.process(rows[0]["process_id"])["counters"]


def judge_scan(bench, trial, result, words):
    party = Party(result["pid"], bench.programs["scan"], None, None, words)
    wanted = {"tcp_attempts": result["attempts"], "refused": result["refused"], "ok": result["ok"]}

    def exact():
        counters = counters_of(bench, trial, result["pid"])
        return counters if all(counters[k] == v for k, v in wanted.items()) else None
    counters = wait_until(f"counters {wanted}", exact, 15, 0.3)
    verdict = trial.judge(party, wire=False, seconds=3)
    verdict.info.append(f"{result['per_second']:.0f} connects/s, {counters['suppressed_flows']} without a row")
    ended = counters["refused"] + counters["aborted"] + counters["timed_out"] + counters["unreachable"]
    verdict.bytes_right = ended + counters["ok"] == result["attempts"]
    if "tx_wire_bytes" in counters:
        verdict.wire = ratio(counters["tx_wire_bytes"], trial.wire[0])
        verdict.packets = ratio(counters["tx_packets"], trial.wire[1])
        verdict.bytes_right = verdict.bytes_right and near(verdict.wire)
    else:
        verdict.info.append("wire bytes of the process are not in the answer: attempts and outcomes compared")
    return verdict


@scenario("x01", "connect scan, refused")
def scan_refused(bench):
    arguments = ("refused", V4, 20000, 1000, 50000, bench.size(60_000, 6_000))
    with bench.trial() as trial:
        (result,) = bench.generator("scan", *arguments).result()
    check(result["refused"] == result["attempts"], f"the generator: {result}")
    return judge_scan(bench, trial, result, ("refused", V4))


@scenario("x02", "connect scan, filtered")
def scan_filtered(bench):
    bench.a.run("ip", "neigh", "replace", DEAD, "lladdr", "02:00:00:00:00:66", "dev", bench.a.interface, "nud", "permanent")
    arguments = ("filtered", DEAD, 20000, 1000, 50000, bench.size(60_000, 6_000))
    with bench.trial() as trial:
        (result,) = bench.generator("scan", *arguments).result()
    check(result["given_up"] == result["attempts"], f"the generator: {result}")
    return judge_scan(bench, trial, result, ("filtered", DEAD))


@scenario("x03", "raw-IP SYN flood, spoofed sources")
def syn_flood(bench):
    count = bench.size(100_000, 8_000)
    arguments = ("syn", V4, 3000, count, 500)
    with bench.trial() as trial:
        (result,) = bench.generator("raw", *arguments).result()
    check(result["tx_packets"] == count and trial.wire[1] == count, f"{result['tx_packets']} sent, {trial.wire[1]} left")
    verdict = trial.judge(party_of(result, *arguments), payload=False)
    names = ("raw_packets", "bare_syns")

    def counted():
        counters = counters_of(bench, trial, result["pid"])
        return all(counters.get(name, count) == count for name in names)
    try:
        wait_until(f"{count} in {' and '.join(names)}", counted, 8, 0.3)
    except Failure as error:
        verdict.notes.append(str(error))
        verdict.bytes_right = False
    return verdict


@scenario("x04", "AF_PACKET past the queues (QDISC_BYPASS)")
def bypass(bench):
    return link(bench, "bypass")


# --- forwarded ---------------------------------------------------------------------------------------------------------------
def third_namespace(bench):
    """A server behind b: 198.51.100.1 (b) and .2, addresses and neighbours fixed."""
    tag = f"{os.getpid() % 100000}"
    far = Namespace(f"culprit-c-{tag}", f"cc{tag}", "02:00:00:00:00:04", "198.51.100.2", "2001:db8:1::2")
    near_end = Namespace(bench.b.name, f"cd{tag}", "02:00:00:00:00:03", "198.51.100.1", "2001:db8:1::1")
    run("ip", "netns", "add", far.name)
    for key in ("all/accept_ra=0", "default/router_solicitations=0", "default/accept_dad=0", "default/dad_transmits=0"):
        far.run("sysctl", "-qw", f"net/ipv6/conf/{key}")
    run("ip", "link", "add", near_end.interface, "address", near_end.mac, "netns", near_end.name, "type", "veth",
        "peer", "name", far.interface, "address", far.mac, "netns", far.name)
    for end, other in ((near_end, far), (far, near_end)):
        end.run("sysctl", "-qw", f"net/ipv6/conf/{end.interface}/disable_ipv6=1")
        end.run("ethtool", "-K", end.interface, "tso", "off", "gso", "off", "gro", "off", check=False)
        end.run("ip", "addr", "add", f"{end.v4}/24", "dev", end.interface)
        end.run("ip", "link", "set", end.interface, "up")
        end.run("ip", "neigh", "replace", other.v4, "lladdr", other.mac, "dev", end.interface, "nud", "permanent")
    far.run("ip", "route", "add", "192.0.2.0/24", "via", near_end.v4)
    return near_end, far


@scenario("x05", "DNAT relay without a socket")
def dnat_relay(bench):
    """192.0.2.2:9999 leads on to 198.51.100.2: client and server have processes, the relay between them has none."""
    b_end, far = third_namespace(bench)
    rules = (f"table ip culprit_relay {{ chain in {{ type nat hook prerouting priority dstnat; "
             f"tcp dport 9999 dnat to {far.v4}:{DISCARD}; }}; }}")
    size = bench.size(20_000_000, 2_000_000)
    try:
        bench.b.run("sysctl", "-qw", "net/ipv4/ip_forward=1")
        bench.b.run("nft", rules)
        server = bench.start_peer(far, "at", far.v4, DISCARD)
        with bench.trial() as trial:
            with_relay = b_end.counters()
            (result,) = bench.generator("stream", "up", V4, 9999, size).result()
        passed = [after - before for after, before in zip(b_end.counters(), with_relay)]
        verdict = trial.judge(party_of(result, "up", V4, 9999))
        judge_forwarded(bench, verdict, bench.netns(bench.b), far.v4, passed, trial)
        served = [r for r in bench.rig.flows("--local-port", DISCARD, "--since", trial.since()) if r["netns"] == bench.netns(far)]
        if {r["pid"] for r in served} != {server.pid}:
            verdict.process = False
            verdict.notes.append(f"server side charged to {sorted({r['pid'] for r in served})}, not {server.pid}")
        server.stop()
        return verdict
    finally:
        bench.b.run("nft", "delete", "table", "ip", "culprit_relay", check=False)
        bench.b.run("sysctl", "-qw", "net/ipv4/ip_forward=0")
        run("ip", "netns", "del", far.name)


def judge_forwarded(bench, verdict, netns, destination, passed, trial):
    """Forwarded rows: local = source, remote = destination as it left, sent = what left. Each way is a row; `passed` is the
    difference of the interface towards the destination."""
    def rows_of_relay():
        ways = [[r for r in bench.rig.flows("--direction", "forwarded", "--remote", remote)
                 if r["netns"] == netns and r["start_time"] >= trial.since()] for remote in (destination, bench.a.v4)]
        sums = [sum(r["tx_wire_bytes"] for r in way) for way in ways]
        return ways[0] + ways[1], worst([ratio(sums[0], passed[0]), ratio(sums[1], passed[2])])

    def complete():
        found = rows_of_relay()
        return found if near(found[1]) else None
    try:
        rows_of_relay()  # a client that does not know the direction says so at once
        with contextlib.suppress(Failure):
            wait_until("forwarded rows", complete, 15)
        rows, verdict.wire = rows_of_relay()
    except Failure as error:
        verdict.notes.append(f"forwarded: {error}")
        verdict.bytes_right = False
        return
    verdict.bytes_right = verdict.bytes_right and near(verdict.wire)
    if not rows or any(r["pid"] for r in rows):
        verdict.process = False
        verdict.notes.append(f"forwarded rows of pids {sorted({r['pid'] for r in rows})}, expected rows of none")


# --- twins, overflow, resolver -----------------------------------------------------------------------------------------------
@scenario("x06", "two namespaces with the same tuple")
def overlapping(bench):
    """Two pairs of namespaces with equal addresses; both clients use the same ports at the same time."""
    tag = f"{os.getpid() % 100000}"
    ends = [Namespace(f"culprit-{n}-{tag}", f"c{n}{tag}", mac, v4, None)
            for n, mac, v4 in (("e", "02:00:00:00:00:01", "192.0.2.1"), ("f", "02:00:00:00:00:02", V4))]
    sizes = bench.size((20_000_000, 31_000_000), (1_000_000, 1_700_000))
    try:
        for end in ends:
            run("ip", "netns", "add", end.name)
            end.run("sysctl", "-qw", "net/ipv6/conf/default/disable_ipv6=1")
            end.run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", ends[0].interface, "address", ends[0].mac, "netns", ends[0].name, "type", "veth",
            "peer", "name", ends[1].interface, "address", ends[1].mac, "netns", ends[1].name)
        for end, other in (ends, ends[::-1]):
            end.run("ethtool", "-K", end.interface, "tso", "off", "gso", "off", "gro", "off", check=False)
            end.run("ip", "addr", "add", f"{end.v4}/24", "dev", end.interface)
            end.run("ip", "link", "set", end.interface, "up")
            end.run("ip", "neigh", "replace", other.v4, "lladdr", other.mac, "dev", end.interface, "nud", "permanent")
        peer = bench.start_peer(ends[1])
        with bench.trial(bench.a, ends[0]) as trial:
            twins = [bench.generator("stream", "up", V4, DISCARD, size, end=end, LOCAL_PORT=20000, GEN_WAIT=1)
                     for end, size in zip((bench.a, ends[0]), sizes)]
            for twin in twins:
                twin.line()
            for twin in twins:
                twin.go()
            results = [twin.result()[0] for twin in twins]
        check([r["ports"] for r in results] == [[20000], [20000]], f"local ports {results}")
        peer.stop()
        return trial.judge(*(party_of(r, "up", V4) for r in results))
    finally:
        for end in ends:
            run("ip", "netns", "del", end.name, check=False)


@scenario("x07", "ring buffer overflow")
def ring_overflow(bench):
    """The agent is stopped while more happens than its ring holds: events are lost, bytes are not."""
    rig, size = bench.rig, bench.size(2_000_000, 300_000)
    lost = rig.host()["lost_events"]
    with bench.trial() as trial:
        steady = bench.generator("stream", "staged", V4, ECHO, size, 2)
        steady.line()
        steady.go()
        steady.line()
        os.kill(rig.agent.pid, signal.SIGSTOP)
        try:
            storms = [bench.generator("stream", "many", V4, DISCARD, 300, 2500) for _ in range(2)]
            results = [storm.result()[0] for storm in storms]
            steady.go()
            steady.line()
        finally:
            os.kill(rig.agent.pid, signal.SIGCONT)
        steady.go()
        (whole,) = steady.result()

    def overflowed():
        return rig.host()["lost_events"] - lost
    events = wait_until("lost events, told with the heartbeat", overflowed, 25, 0.5)
    pids = [r["pid"] for r in results]
    verdict = trial.judge(party_of(whole, "staged"), keep=lambda row: row["pid"] not in pids, wire=False)
    verdict.info.append(f"{events} events lost")
    check_storms(bench, trial, results, verdict)
    return verdict


def process_by_pid(bench, pid):
    return bench.rig.process(pid, "--host", bench.rig.host()["hostname"])


def check_storms(bench, trial, results, verdict):
    """The processes whose records went: their totals come from the kernel's own counters."""
    pids = {r["pid"] for r in results}
    verdict.allowed = 2 * 2500

    def counted():
        answers = [process_by_pid(bench, r["pid"]) for r in results]
        sent = sum(r["tx_wire_bytes"] for r in trial.rows() if r["pid"] not in pids)
        sent += sum(a["counters"]["tx_wire_bytes"] for a in answers)
        verdict.wire = ratio(sent, trial.wire[0])
        known = all(a["counters"]["ok"] == 2500 for a in answers)
        timewait = 0 <= trial.wire[0] - sent <= TIMEWAIT_BYTES * verdict.allowed
        return answers if known and (near(verdict.wire) or timewait) else None
    try:
        answers = wait_until("attempts and bytes of the processes whose records were lost", counted, 10, 0.3)
    except Failure as error:
        verdict.bytes_right = False
        verdict.notes.append(str(error))
        return
    for answer, result in zip(answers, results):
        if answer["process"]["exe"] != result["exe"]:
            verdict.process = False
            verdict.notes.append(f"pid {result['pid']} is {answer['process']['exe']}")


@scenario("x08", "DNS through a stub on 127.0.0.53")
def resolver_stub(bench):
    """The client asks the stub on loopback, the stub asks the other namespace: two processes, each with its own half."""
    count, size = bench.size(2_000, 200), 48
    stub = bench.generator("dgram", "relay", V4, 53, count, size, "127.0.0.53", 53, GEN_WAIT=1)
    stub.line()
    stub.go()
    with bench.trial() as trial:
        (client,) = bench.generator("dgram", "echo", "127.0.0.53", 53, count, size).result()
        (relay,) = stub.result()
    asked, answered = party_of(client, "echo", "127.0.0.53"), party_of(relay, "relay")
    verdict = trial.judge(asked, answered, keep=lambda row: row["remote"] == V4 or row["pid"] == client["pid"], wire=False)
    outside = [r for r in trial.rows() if r["remote"] == V4]
    if {r["pid"] for r in outside} != {relay["pid"]}:
        verdict.process = False
    verdict.wire = ratio(sum(r["tx_wire_bytes"] for r in outside), trial.wire[0])
    verdict.bytes_right = verdict.bytes_right and near(verdict.wire)
    return verdict
