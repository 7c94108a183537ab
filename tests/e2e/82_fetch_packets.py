#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`culprit packets`: two processes talk to the same server, and each one's packets come out alone, as tcpdump beside them saw them and stock tshark
reads them. A fetch that breaks (sender, collector or the command itself killed) goes on and gives the same bytes."""
import contextlib
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys

from harness import BIN, Rig, check, note, run, wait_until

SERVER = """
import socket, threading
listener = socket.create_server(("198.51.100.2", 9000), backlog=256)
def echo(conn):
    with conn:
        while data := conn.recv(65536):
            conn.sendall(data[:500])
while True:
    threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()
"""
CLIENT = """
import socket, sys
connections, rounds, size = map(int, sys.argv[1:4])
for _ in range(connections):
    with socket.create_connection(("198.51.100.2", 9000)) as s:
        for _ in range(rounds):
            s.sendall(b"x" * size)
            assert s.recv(500, socket.MSG_WAITALL)
sys.stdin.read()
"""
CUT_AT = 3 << 20


def read_with_tshark(path):
    """(ports, wire bytes, comment) of each TCP packet (tshark shows blocks that it does not know as records, too); stock tools must have
    nothing to say against the file."""
    for command in (["capinfos", path], ["tshark", "-n", "-r", path, "-Y", "tcp.port == 9000", "-T", "fields", "-e", "tcp.srcport", "-e", "tcp.dstport",
                                         "-e", "frame.len", "-e", "frame.comment"]):
        done = run(*command, stderr=subprocess.PIPE)
        said = [line for line in done.stderr.splitlines() if line.strip() and "as user" not in line]
        check(not said, f"{command[0]} complains: {said}")
    rows = []
    for line in done.stdout.splitlines():
        source, destination, size, comment = (line.split("\t") + [""] * 4)[:4]
        rows.append(((source, destination), int(size), comment))
    return rows


def command(rig, *arguments, credentials=None):
    return [str(a) for a in (BIN / "culprit", "packets", "--collector", f"127.0.0.1:{rig.port}", "--credentials", credentials or rig.pki, *arguments)]


def fetch(rig, out, *arguments):
    done = run(*command(rig, "--out", out, "--json", *arguments), stderr=subprocess.PIPE)
    return json.loads(done.stdout)


def refusal(rig, *arguments, credentials=None):
    done = run(*command(rig, "--out", rig.dir / "none.pcapng", *arguments, credentials=credentials), stderr=subprocess.PIPE, check=False)
    check(done.returncode != 0, f"{arguments} was answered: {done.stdout}")
    return done.stderr


def check_each_alone(rig, clients, beside):
    """Exactly the packets of each process, as tcpdump has them."""
    for client in clients:
        flows = rig.flows("--pid", client.pid, "--port", 9000)
        process = flows[0]["process_id"]
        out = rig.dir / f"{client.pid}.pcapng"
        by_id = fetch(rig, out, "--process", process)
        packets = read_with_tshark(out)
        ports = {str(flow["local_port"]) for flow in flows}
        seen = [(p, size) for p, size, _ in read_with_tshark(beside) if ports & set(p)]
        check(sorted((p, size) for p, size, _ in packets) == sorted(seen), f"pid {client.pid}: {len(packets)} packets, tcpdump has {len(seen)}")
        comments = {re.sub(r" f=\S+", "", comment) for _, _, comment in packets}
        check(len(comments) == 1 and re.match(rf"p={process} pid={client.pid} comm=python3", next(iter(comments))), f"comments {comments}")
        check(by_id["packets"] == len(packets) and by_id["wire_bytes"] == sum(s for _, s in seen), f"totals {by_id}")
        by_pid = rig.dir / "by-pid.pcapng"
        fetch(rig, by_pid, "--process", client.pid)
        check(by_pid.read_bytes() == out.read_bytes(), "the pid gives other bytes than the process id")
        one = rig.dir / "flow.pcapng"
        fetch(rig, one, "--flow", flows[0]["flow_id"])
        port = str(flows[0]["local_port"])
        check(sorted(p for p, _, _ in read_with_tshark(one)) == sorted(p for p, _ in seen if port in p), "packets of one flow")
        note(f"pid {client.pid}: {len(packets)} packets, {by_id['wire_bytes']} bytes on the wire, as tcpdump has them")


def sender_pid(rig):
    return next(p["pid"] for p in rig.agent_status()["processes"] if p["name"] == "sender")


def broken_by(rig, process, breaks):
    """Reads a little, then `breaks`, then the rest. The pipe is full meanwhile: nothing more comes by itself."""
    with subprocess.Popen(command(rig, "--process", process, "--out", "-"), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as popen:
        first = popen.stdout.read(1 << 16)
        check(len(first) == 1 << 16, "the fetch ended at once")
        breaks()
        rest = popen.stdout.read()
        said = popen.stderr.read().decode()
        check(popen.wait() == 0, f"exit {popen.returncode}: {said}")
    return first + rest, said


def check_breaks(rig, process):
    whole = rig.dir / "whole.pcapng"
    totals = fetch(rig, whole, "--process", process)
    want = whole.read_bytes()
    check(len(want) > 4 * CUT_AT, f"too little to break: {len(want)} bytes")

    got, said = broken_by(rig, process, lambda: os.kill(sender_pid(rig), signal.SIGKILL))
    check(got == want, f"after kill -9 of the sender: {len(got)} bytes, not the same {len(want)}; {said}")
    check("waiting for the agent" in said, f"the sender's end was not noticed: {said}")
    note(f"kill -9 of the sender in mid-fetch: the same {len(want)} bytes, {totals['packets']} packets")
    wait_until("the sender again", lambda: rig.host()["state"] == "online" and sender_pid(rig), 30)

    def collector():
        rig.collector.kill()
        rig.start_collector()
    got, said = broken_by(rig, process, collector)
    check(got == want, f"after kill -9 of the collector: {len(got)} bytes, not the same {len(want)}; {said}")
    check("the connection broke" in said, f"the collector's end was not noticed: {said}")
    note("kill -9 of the collector in mid-fetch: the same bytes")

    out = rig.dir / "cut.pcapng"
    cut = subprocess.run(command(rig, "--process", process, "--out", out), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (CUT_AT, CUT_AT)), check=False)
    check(cut.returncode != 0 and not out.exists(), f"the command was not cut off: {cut.returncode}")
    check((rig.dir / "cut.pcapng.part").stat().st_size == CUT_AT, "the part has another size")
    run(*command(rig, "--resume", "--out", out))
    check(out.read_bytes() == want and not (rig.dir / "cut.pcapng.part").exists(), "--resume gave other bytes")
    note("the command itself cut off and resumed: the same bytes")

    bounded = fetch(rig, out, "--process", process, "--max-bytes", "100 KiB")
    check(bounded["cut_off"] and out.stat().st_size <= 100 << 10 and out.read_bytes() == want[:out.stat().st_size], f"--max-bytes {bounded}")
    read_with_tshark(out)


def check_progress(rig, process):
    """On a terminal, and nowhere else, stderr shows how much has come."""
    terminal, theirs = pty.openpty()
    subprocess.run(command(rig, "--process", process, "--out", rig.dir / "shown.pcapng"), stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(terminal, 65536).decode(errors="replace")
    os.close(terminal)
    check(re.search(r"\r.*MiB, .*/s", shown), f"on a terminal: {shown!r}")
    done = run(*command(rig, "--process", process, "--out", rig.dir / "shown.pcapng"), stderr=subprocess.PIPE)
    check(done.stderr == "" and "packets of" in done.stdout, f"on no terminal: {done.stderr!r} {done.stdout!r}")


def check_refusals(rig):
    said = refusal(rig, "--process", "00000000deadbeef")
    check("is not known" in said, f"an unknown process: {said}")
    pretender = rig.dir / "pretender"
    pretender.mkdir()
    for name, source in (("ca.pem", "ca.pem"), ("operator.pem", "agent.pem"), ("operator.key", "agent.key")):
        (pretender / name).write_bytes((rig.credentials / source).read_bytes())
    said = refusal(rig, "--last", "1m", credentials=pretender)
    check("operator's certificate" in said, f"with an agent's certificate: {said}")
    rig.agent.stop()
    wait_until("the agent is gone", lambda: "is not connected" in refusal(rig, "--host", rig.host()["hostname"], "--last", "1m"), 20)
    rig.agent_extra = ""
    rig.start_agent()
    host = rig.host()["hostname"]
    said = wait_until("the agent again", lambda: "is not connected" not in (text := refusal(rig, "--host", host, "--last", "1m")) and text, 20)
    check("packets.enabled" in said, f"without a ring: {said}")
    note("an agent's certificate, an unknown process, an absent agent, an agent without a ring: told apart")


def main():
    with Rig("fetch") as rig:
        here, far = rig.far_end()
        rig.agent_extra += f'[packets]\nenabled = true\ninterfaces = ["{here}"]\n'
        rig.start_collector()
        rig.start_agent()
        rig.spawn(*far.command(sys.executable, "-c", SERVER), log="server.log")
        beside = rig.dir / "beside.pcap"
        tcpdump = rig.spawn("tcpdump", "-n", "-U", "--immediate-mode", "-B", "16384", "-i", here, "-w", beside, log="tcpdump.log")
        wait_until("tcpdump listens", lambda: "listening on" in tcpdump.tail(), 10)
        wait_until("the server listens", lambda: ":9000" in far.run("ss", "-Hltn").stdout, 10)

        def talk(*numbers):
            client = rig.spawn(sys.executable, "-c", CLIENT, *numbers, log=f"client-{numbers[0]}-{numbers[1]}.log")
            count = numbers[0]

            def closed():
                rows = [r for r in rig.flows("--pid", client.pid, "--port", 9000) if r["state"] == "closed"]
                return len(rows) == count
            wait_until(f"{count} flows closed", closed, 30, 0.3)
            return client
        clients = [talk(1, 3, 500), talk(2, 40, 500)]
        moved = sum(r["tx_packets"] + r["rx_packets"] for c in clients for r in rig.flows("--pid", c.pid, "--port", 9000))
        wait_until("all of it in tcpdump's file", lambda: len(read_with_tshark(beside)) >= moved, 10, 0.5)
        tcpdump.process.send_signal(signal.SIGINT)
        tcpdump.process.wait()
        check_each_alone(rig, clients, beside)
        many = talk(300, 60, 1000)
        process = rig.flows("--pid", many.pid)[0]["process_id"]
        check_breaks(rig, process)
        check_progress(rig, process)
        check_refusals(rig)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
