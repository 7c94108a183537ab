#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two processes talk to the same server: the packets on disk are exactly theirs, each with its process; kill -9 of the
agent leaves them readable. On loopback, where a packet is on disk once, under whoever sent it."""
import re
import socket
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
        rig.agent.kill()
        after = packets_of(rig)
        check(all(len(after.get(r["process_id"], [])) == len(held[r["process_id"]]) for r in rows), "lost by kill -9")
        note("kill -9 of the agent: all of them readable")
        listener.close()


if __name__ == "__main__":
    main()
