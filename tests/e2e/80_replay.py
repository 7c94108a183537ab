#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A capture of known traffic, written here byte by byte, comes out of the collector as what it was: tuples, directions,
bytes, outcomes, names; once, however often it is replayed. Damage is named and costs no whole packet."""
import json
import re
import shutil
import struct
import subprocess

from harness import BIN, Rig, check, note, run, wait_until

AGENT = BIN / "culprit-agent"
CLIENT, SERVER, RESOLVER, CLOSED = "192.0.2.7", "198.51.100.20", "198.51.100.53", "203.0.113.9"
NAME = "www.example.com"
START_NS = 1_700_000_000_000_000_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


# --- packets -----------------------------------------------------------------------------------------------------------------
def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def address(text):
    return bytes(map(int, text.split(".")))


def ipv4(source, destination, protocol, body):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0) + address(source) + address(destination)
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + body


def ethernet(packet):
    return bytes.fromhex("020000000002020000000001") + b"\x08\x00" + packet


def tcp(source, destination, flags, seq, ack, payload=b""):
    head = struct.pack(">HHIIBBHHH", source[1], destination[1], seq, ack, 5 << 4, flags, 65535, 0, 0)
    return ethernet(ipv4(source[0], destination[0], 6, head + payload))


def udp(source, destination, payload):
    return ethernet(ipv4(source[0], destination[0], 17,
                         struct.pack(">HHHH", source[1], destination[1], 8 + len(payload), 0) + payload))


def client_hello(name):
    host = name.encode()
    sni = struct.pack(">HBH", len(host) + 3, 0, len(host)) + host
    alpn = b"\x00\x03\x02h2"
    extensions = struct.pack(">HH", 0, len(sni)) + sni + struct.pack(">HH", 16, len(alpn)) + alpn
    body = b"\x03\x03" + bytes(range(32)) + b"\0" + b"\x00\x02\x13\x01" + b"\x01\x00" + struct.pack(">H", len(extensions)) + extensions
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack(">H", len(handshake)) + handshake


def dns(name, ident, answer=None):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"
    message = struct.pack(">HHHHHH", ident, 0x8180 if answer else 0x0100, 1, 1 if answer else 0, 0, 0) + labels + b"\0\1\0\1"
    return message + (b"\xc0\x0c\0\1\0\1" + struct.pack(">IH", 300, 4) + address(answer) if answer else b"")


def conversation():
    """[(nanoseconds since the first packet, frame)]: a question and its answer, TLS to that address, a refused attempt."""
    asks, resolver = (CLIENT, 40053), (RESOLVER, 53)
    client, server = (CLIENT, 40443), (SERVER, 443)
    dead, closed = (CLIENT, 40025), (CLOSED, 25)
    hello, reply = client_hello(NAME), bytes(1200)
    frames = [
        udp(asks, resolver, dns(NAME, 7)), udp(resolver, asks, dns(NAME, 7, SERVER)),
        tcp(client, server, SYN, 100, 0), tcp(server, client, SYN | ACK, 900, 101), tcp(client, server, ACK, 101, 901),
        tcp(client, server, PSH | ACK, 101, 901, hello), tcp(server, client, PSH | ACK, 901, 101 + len(hello), reply),
        tcp(client, server, FIN | ACK, 101 + len(hello), 901 + len(reply)),
        tcp(server, client, FIN | ACK, 901 + len(reply), 102 + len(hello)),
        tcp(client, server, ACK, 102 + len(hello), 902 + len(reply)),
        tcp(dead, closed, SYN, 5, 0), tcp(closed, dead, RST | ACK, 0, 6),
    ]
    return [(i * 20_000_000, frame) for i, frame in enumerate(frames)]


# --- files -------------------------------------------------------------------------------------------------------------------
def block(kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def pcapng(packets):
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack("<HHI", 1, 0, 0) + struct.pack("<HHB3x", 9, 1, 9) + struct.pack("<HH", 0, 0))  # if_tsresol: ns
    for after, frame in packets:
        when = START_NS + after
        out += block(6, struct.pack("<IIIII", 0, when >> 32, when & 0xFFFFFFFF, len(frame), len(frame)) + frame)
    return out


def pcap(packets):
    out = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1)
    for after, frame in packets:
        seconds, nanoseconds = divmod(START_NS + after, 10**9)
        out += struct.pack("<IIII", seconds, nanoseconds, len(frame), len(frame)) + frame
    return out


# --- what comes out ------------------------------------------------------------------------------------------------------------
def wire_bytes(packets, ends, sent):
    """IP bytes that CLIENT sent to (or got from) `ends`."""
    pair = (address(CLIENT), address(ends)) if sent else (address(ends), address(CLIENT))
    return sum(len(frame) - 14 for _, frame in packets if (frame[26:30], frame[30:34]) == pair)


def replay(rig, path, *arguments, code=0):
    """Runs the agent on a file, with a state directory of its own that goes; returns what it said on stderr."""
    data = rig.dir / "replay"
    done = subprocess.run([str(a) for a in (AGENT, "replay", path, "--config", rig.dir / "agent.toml", "--data", data, *arguments)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    shutil.rmtree(data, ignore_errors=True)
    check(done.returncode == code, f"replay of {path}: exit {done.returncode}, expected {code}\n{done.stdout}{done.stderr}")
    return done.stderr


def expect_flow(row, expected):
    for field, value in expected.items():
        check(row.get(field) == value, f"{field}: {row.get(field)!r}, expected {value!r} in {row}")


def everything(rig, host, packets):
    """The three flows and the question of conversation(), and nothing else of that host."""
    def look():
        rows = rig.flows("--host", host)
        return rows if len(rows) >= 3 and all(r["state"] not in ("open", "attempt") for r in rows if r["protocol"] == "tcp") else None
    rows = {row["remote"]: row for row in wait_until(f"flows of {host}", look)}
    check(len(rows) == len(look()) == 3, f"expected three flows, got {look()}")
    for remote, expected in {
            SERVER: {"remote_port": 443, "local_port": 40443, "protocol": "tcp", "state": "closed", "name": NAME,
                     "name_source": "tls_sni", "name_confidence": "in_flow", "alpn": "h2", "tx_packets": 5, "rx_packets": 3},
            RESOLVER: {"remote_port": 53, "local_port": 40053, "protocol": "udp", "tx_packets": 1, "rx_packets": 1},
            CLOSED: {"remote_port": 25, "protocol": "tcp", "state": "failed", "error": "ECONNREFUSED", "tx_packets": 1, "rx_packets": 1},
    }.items():
        expect_flow(rows[remote], {**expected, "host": host, "direction": "out", "local": CLIENT,
                                   "tx_wire_bytes": wire_bytes(packets, remote, True), "rx_wire_bytes": wire_bytes(packets, remote, False)})
    questions = wait_until("the question", lambda: rig.query("dns", "--host", host))
    check(len(questions) == 1, f"one question, got {questions}")
    expect_flow(questions[0], {"name": NAME, "type": "A", "result": "NOERROR", "answers": [SERVER], "server": RESOLVER, "questions": 1})
    return rows


def only_host(rig, name):
    hosts = [h for h in rig.query("hosts") if h["hostname"] == name]
    check(len(hosts) == 1, f"one host of that name, got {hosts}")
    return hosts[0]


def be(rig, name):
    """Credentials of its own: to the collector, who delivers is the host."""
    rig.credentials = rig.dir / f"credentials-{name}"
    run(BIN / "culprit-collector", "issue", "agent", name, "--pki", rig.pki, "--out", rig.credentials)
    rig.write_agent_config()


def to_collector(rig, host):
    return "--to", f"127.0.0.1:{rig.port}", "--host", CLIENT, "--name", host


def whole_captures(rig):
    """As pcapng and, of another host an hour later, as pcap."""
    for kind, write, later in (("pcapng", pcapng, 0), ("pcap", pcap, 3600)):
        packets = [(later * 10**9 + after, frame) for after, frame in conversation()]
        path, host = rig.dir / f"traffic.{kind}", f"test-host-{kind}"
        path.write_bytes(write(packets))
        be(rig, host)
        said = replay(rig, path, *to_collector(rig, host))
        check("skipped" not in said, f"a whole capture has no damage:\n{said}")
        rows = everything(rig, host, packets)
        named = rig.flows("--name", ".example.com", "--host", host)
        check([r["remote"] for r in named] == [SERVER], f"flows by name: {named}")
        note(f"ok      {kind}: flows, bytes, outcome, names, question")
        frames = only_host(rig, host)["frames"]
        replay(rig, path, *to_collector(rig, host))
        wait_until("the second replay at the collector", lambda: only_host(rig, host)["frames"] > frames)
        again = everything(rig, host, packets)
        check({r["flow_id"] for r in again.values()} == {r["flow_id"] for r in rows.values()}, "flows have other ids the second time")
        note(f"ok      {kind} once more: the same flows, the same host")


def records(path, kind):
    with path.open() as lines:
        return [r for r in map(json.loads, lines) if r["type"] == kind]


def truncated(rig):
    """The last packet is cut in the middle: the refusal is missing, everything before it is there."""
    packets, out = conversation(), rig.dir / "truncated.json"
    for kind, write in (("pcapng", pcapng), ("pcap", pcap)):
        path = rig.dir / f"truncated.{kind}"
        path.write_bytes(write(packets)[:-30])
        said = replay(rig, path, "--host", CLIENT, "--out", out)
        check(re.search(rf"{path}: \d+ bytes at offset \d+ skipped: ", said), f"the damage is not named:\n{said}")
        newest = {}
        for row in records(out, "flow"):
            old = newest.get(row["remote"])
            if old is None or (row["at"], row["tx_packets"] + row["rx_packets"]) >= (old["at"], old["tx_packets"] + old["rx_packets"]):
                newest[row["remote"]] = row
        for remote, packets_there in ((f"{SERVER}:443", (5, 3)), (f"{RESOLVER}:53", (1, 1)), (f"{CLOSED}:25", (1, 0))):
            row = newest[remote]
            check((row["tx_packets"], row["rx_packets"]) == packets_there, f"truncated {kind}: {row}")
        note(f"ok      truncated {kind}: {said.strip().splitlines()[-1][-120:]}")


def unusable(rig):
    text = rig.dir / "notes.txt"
    text.write_text("these are notes, and no capture\n" * 50)
    good = rig.dir / "traffic.pcap"
    for what, path, arguments, code, pattern in (
            ("a text file", text, ("--out", rig.dir / "none.json"), 1, r"notes\.txt.*(not|no) .*capture"),
            ("no such file", rig.dir / "absent.pcap", ("--out", rig.dir / "none.json"), 1, r"absent\.pcap.*No such file"),
            ("a host that is no address", good, ("--host", "192.0.2.300", "--out", rig.dir / "none.json"), 2, r"--host.*192\.0\.2\.300"),
            ("a prefix that is too long", good, ("--host", "192.0.2.0/33", "--out", rig.dir / "none.json"), 2, r"--host.*192\.0\.2\.0/33"),
    ):
        said = replay(rig, path, *arguments, code=code)
        check(re.search(pattern, said), f"{what}: no '{pattern}' in:\n{said}")
        note(f"ok      {what}: exit {code}: {said.strip().splitlines()[-1][:160]}")


def main():
    with Rig("replay") as rig:
        rig.start_collector()
        whole_captures(rig)
        truncated(rig)
        unusable(rig)


if __name__ == "__main__":
    main()
