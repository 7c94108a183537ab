#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The agent is killed and started again, twice, while a connection and a UDP flow go on. The connection was there before
the first agent, and two processes hold it. At the end its rows add up to what the program counted, byte for byte, and to
the interface within 1 %: nothing is counted twice, whoever is found as its owner, and nothing is lost. Of the UDP flow
what passed without an agent is missing, and no more is there than was sent."""
import json
import subprocess
import sys
import time

from harness import HERE, Rig, check, note, wait_until

TCP, UDP, HTTP = 7101, 7102, 7103
REMOTE = "192.0.2.2"
WITHIN = 0.01

# A parent that holds the connection, and a child that uses it until its standard input ends: at most 90 s, 40 MB.
CLIENT = f"""
import json, os, select, socket, sys, time
tcp = socket.create_connection(("{REMOTE}", {TCP}))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.connect(("{REMOTE}", {UDP}))
if os.fork():
    os.wait()
    sys.exit()
def echo(sock, data):
    sock.sendall(data) if sock is tcp else sock.send(data)
    n = 0
    while n < len(data):
        n += len(sock.recv(65536))
    return n
counts = dict(tcp=0, udp=0, datagrams=0, pid=os.getpid(), parent=os.getppid(),
              tcp_port=tcp.getsockname()[1], udp_port=udp.getsockname()[1])
end = time.monotonic() + 90
while time.monotonic() < end and counts["tcp"] < 40_000_000:
    counts["tcp"] += echo(tcp, b"t" * 20_000)
    counts["udp"] += echo(udp, b"u" * 300)
    counts["datagrams"] += 1
    if counts["datagrams"] == 20:
        print(json.dumps(counts), flush=True)
    if select.select([sys.stdin], [], [], 0.02)[0]:
        break
tcp.close()
print(json.dumps(counts), flush=True)
"""


def total(rows, field):
    return sum(row[field] for row in rows)


class Flow:
    """One of the client's two: other tests on this host may talk to the same address."""

    def __init__(self, rig, port, local_port):
        self.rig, self.port, self.local_port = rig, port, local_port

    def rows(self):
        return [f for f in self.rig.flows("--remote", REMOTE, "--port", self.port)
                if f["direction"] == "out" and f["local_port"] == self.local_port]

    def payload(self):
        return total(self.rows(), "tx_payload_bytes")

    def await_growth(self, beyond):
        """Payload as the collector has it, once it is more than `beyond`."""
        def grown():
            now = self.payload()
            return now if now > beyond else None
        return wait_until(f"more than {beyond} bytes to port {self.port}", grown, 40, 0.3)


def await_end(flow, counts):
    def ended():
        rows = flow.rows()
        if not any(r["state"] == "closed" for r in rows):
            return None
        return rows if total(rows, "tx_payload_bytes") >= counts["tcp"] else None
    wait_until("the end of the connection", ended, 40, 0.3)
    time.sleep(1.5)  # a row too many would come now
    return flow.rows()


def check_connection(rows, counts, deltas):
    for row in rows:
        note(f"  {row['process_id']} {row['state']:12} payload {row['tx_payload_bytes']} / {row['rx_payload_bytes']}"
             f" wire {row['tx_wire_bytes']} / {row['rx_wire_bytes']}")
    check(len({row["flow_id"] for row in rows}) == 1, "more than one flow")
    for way in ("tx", "rx"):
        got = total(rows, f"{way}_payload_bytes")
        check(got == counts["tcp"], f"{way} payload {got}, the program counted {counts['tcp']}")
    datagrams = counts["udp"] + 28 * counts["datagrams"]
    for way, interface in (("tx", deltas[0] - datagrams), ("rx", deltas[2] - datagrams)):
        got = total(rows, f"{way}_wire_bytes")
        note(f"  {way} wire {got}, interface {interface}, difference {got - interface:+d}")
        check(abs(got - interface) <= WITHIN * interface, f"{way} wire {got}, the interface counted {interface}")


def main():
    with Rig("restart") as rig:
        rig.start_collector()
        a, b = rig.namespaces()
        server = rig.spawn(*b.command(sys.executable, HERE / "echo_server.py", TCP, UDP, HTTP))
        wait_until("echo server", lambda: "ready" in server.log.read_text(), 20)
        before = a.counters()
        client = subprocess.Popen(a.command(sys.executable, "-c", CLIENT), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        rig.cleanups.append(client.kill)
        moving = json.loads(client.stdout.readline())
        tcp, udp = Flow(rig, TCP, moving["tcp_port"]), Flow(rig, UDP, moving["udp_port"])
        rig.start_agent()
        told = tcp.await_growth(0)
        for kill in (1, 2):
            told = tcp.await_growth(told + 200_000)
            known = udp.payload()
            rig.agent.kill()
            rig.start_agent(wait=False)
            told = tcp.await_growth(told + 200_000)
            now = udp.await_growth(known)
            note(f"kill {kill}: connection at {told}, UDP flow from {known} to {now}")
        client.stdin.close()
        counts = json.loads(client.stdout.readline())
        client.wait(20)
        rows = await_end(tcp, counts)
        check_connection(rows, counts, [new - old for new, old in zip(a.counters(), before)])
        got = udp.payload()
        note(f"UDP flow {got} of {counts['udp']} bytes")
        check(now <= got <= counts["udp"], f"UDP flow {got} bytes, {now} known before, {counts['udp']} sent")


if __name__ == "__main__":
    main()
