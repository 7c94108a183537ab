#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packets on disk and names from payload, live. Two processes talk to the same server: the packets on disk are exactly theirs, each with its process; kill -9 of the
agent leaves them readable. On loopback, where a packet is on disk once, under whoever sent it."""
import pathlib
import re
import socket
import struct
import sys
import threading

import pcapng
from harness import Rig, check, note, wait_until

ETHERNET = 14
CLIENT = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for n in range(int(sys.argv[2])):
    s.sendall(b"x" * 500)
    assert s.recv(500, socket.MSG_WAITALL)
s.close()
sys.stdin.read()
"""


ASKER = """
import contextlib, socket, ssl, struct, sys
q = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + b"\\3www\\6sample\\4test\\0" + struct.pack("!2H", 1, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.connect(("127.0.0.9", 53))
    s.send(q)
    s.recv(512)
context = ssl.create_default_context()
with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as s:
    context.wrap_socket(s, server_hostname="hello.sample.test")
sys.stdin.read()
"""


def answer_dns(server):
    while True:
        try:
            question, peer = server.recvfrom(512)
        except OSError:
            return
        answer = b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 60, 4) + socket.inet_aton("203.0.113.77")
        server.sendto(question[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + question[12:] + answer, peer)


def serve(listener):
    def echo(conn):
        with conn:
            while data := conn.recv(65536):
                conn.sendall(data)
    while True:
        try:
            conn, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=echo, args=(conn,), daemon=True).start()


def packets_of(rig):
    """By process id, what all segments hold."""
    found = {}
    for path in sorted((rig.dir / "agent" / "packets").glob("*/*")):
        if path.suffix not in (".open", ".pcapng"):
            continue
        for wire, _, comment in pcapng.read(path):
            match = re.match(r"p=([0-9a-f]{16}) f=([0-9a-f]{16}) pid=(\d+)", comment)
            if match:
                found.setdefault(match[1], []).append((wire - ETHERNET, int(match[3])))
    return found


def check_names(rig, port):
    """A question to the DNS and a TLS hello, each with its process."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.9", 53))
    threading.Thread(target=answer_dns, args=(server,), daemon=True).start()
    asker = rig.spawn(sys.executable, "-c", ASKER, port, log="asker.log")

    def asked():
        rows = [r for r in rig.query("dns", "--name", "www.sample.test") if r["pid"] == asker.pid]
        return rows or None

    def named():
        return rig.flows("--pid", asker.pid, "--name", ".sample.test") or None
    (question,) = wait_until("the question in `culprit dns`", asked, 20, 0.5)
    check(question["answers"] == ["203.0.113.77"] and question["result"] == "NOERROR", f"answer {question}")
    (flow,) = wait_until("the flow by its name", named, 20, 0.5)
    check(flow["name"] == "hello.sample.test" and flow["name_source"] == "tls_sni", f"name {flow['name']}")
    note(f"pid {asker.pid}: asked for {question['name']}, said hello to {flow['name']}")
    parser = next(p for p in rig.agent_status()["processes"] if p["name"] == "parser")
    status = pathlib.Path(f"/proc/{parser['pid']}/status").read_text()
    check("CapEff:\t0000000000000000" in status and "Seccomp:\t2" in status, f"the parser may do too much: {status}")
    server.close()


def main():
    with Rig("packets") as rig:
        rig.agent_extra += '[packets]\nenabled = true\nloopback = true\ninterfaces = ["lo"]\n'
        rig.start_collector()
        rig.start_agent()
        listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        port = listener.getsockname()[1]
        clients = [rig.spawn(sys.executable, "-c", CLIENT, port, rounds, log=f"client-{rounds}.log") for rounds in (3, 40)]

        def flows():
            rows = [r for c in clients for r in rig.flows("--pid", c.pid, "--port", port) if r["state"] == "closed"]
            return rows if len(rows) == len(clients) else None
        rows = wait_until("both flows closed", flows, 20, 0.3)

        def whole():
            held = packets_of(rig)
            return all(len(held.get(r["process_id"], [])) == r["tx_packets"] for r in rows) and held
        held = wait_until("every packet of both on disk", whole, 20, 0.5)
        for row in rows:
            packets = held[row["process_id"]]
            wire = row["tx_wire_bytes"]
            check({pid for _, pid in packets} == {row["pid"]}, f"pids in the comments: {sorted({p for _, p in packets})}")
            check(sum(size for size, _ in packets) == wire, f"{sum(s for s, _ in packets)} bytes on disk, {wire} in the flow")
            note(f"pid {row['pid']}: {len(packets)} packets, {wire} bytes, all on disk and named")
        check_names(rig, port)
        rig.agent.kill()
        after = packets_of(rig)
        check(all(len(after.get(r["process_id"], [])) == len(held[r["process_id"]]) for r in rows), "lost by kill -9")
        note("kill -9 of the agent: all of them readable")
        listener.close()


if __name__ == "__main__":
    main()
