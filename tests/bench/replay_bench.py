#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speed of `culprit-agent replay` on a big capture: replay_bench.py [--packets N] [--rounds N] [--json FILE] [--keep DIR]

The capture is made here: short TCP connections, bulk transfers, DNS and other datagrams of a hundred hosts, at most
500 MB. In turns within each round it is read by the agent (records to /dev/null), by `tshark -q -z conv,tcp -z conv,udp`
and by `argus -w /dev/null` (Debian: tshark, argus-server; one that is not there is named and left out; $ARGUS names
another place of the program). Figures are median and range over the rounds; CPU time is user and system of the process.
Targets: five times tshark's packets a second, no more CPU time than argus. Build: preset release (CULPRIT_BIN).
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("CULPRIT_BIN", HERE.parent.parent / "build/release/bin"))
SKIP = 77
MAX_BYTES = 500_000_000
HOSTS, SERVERS = 100, 250
SHORT_PACKETS, BULK_PAYLOAD = 9, 1400
GAP_US = 50  # between packets
FIN, SYN, PSH, ACK = 1, 2, 8, 16
ETHERNET = bytes.fromhex("0200000000020200000000010800")


# --- the capture ---------------------------------------------------------------------------------------------------------
def ipv4(source, destination, protocol, body):
    return ETHERNET + struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0, source, destination) + body


def tcp(source, destination, flags, seq, ack, payload=b""):
    head = struct.pack(">HHIIBBHHH", source[1], destination[1], seq, ack, 0x50, flags, 65535, 0, 0)
    return ipv4(source[0], destination[0], 6, head + payload)


def udp(source, destination, payload):
    head = struct.pack(">HHHH", source[1], destination[1], 8 + len(payload), 0)
    return ipv4(source[0], destination[0], 17, head + payload)


def host(i):
    return 0x0A000000 + 1 + i % HOSTS


def server(i):
    return 0xC6336400 + 1 + i % SERVERS


def short_connection(i):
    a, b = (host(i), 1024 + (i // HOSTS) % 60000), (server(i), 80)
    request = f"GET /{i} HTTP/1.1\r\nHost: www{i % 500}.example.com\r\nUser-Agent: bench\r\n\r\n".encode()
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n" + bytes(600)
    c, s = 101 + len(request), 501 + len(reply)
    return [tcp(a, b, SYN, 100, 0), tcp(b, a, SYN | ACK, 500, 101), tcp(a, b, ACK, 101, 501), tcp(a, b, PSH | ACK, 101, 501, request),
            tcp(b, a, PSH | ACK, 501, c, reply), tcp(a, b, ACK, c, s), tcp(a, b, FIN | ACK, c, s), tcp(b, a, FIN | ACK, s, c + 1),
            tcp(a, b, ACK, c + 1, s + 1)]


def lookup(i):
    name = b"".join(bytes([len(p)]) + p.encode() for p in (f"n{i % 5000}", "example", "com")) + b"\0"
    a, b = (host(i), 1024 + (i // HOSTS) % 60000), (server(7), 53)
    question = name + b"\0\1\0\1"
    return [udp(a, b, struct.pack(">HHHHHH", i & 0xFFFF, 0x100, 1, 0, 0, 0) + question),
            udp(b, a, struct.pack(">HHHHHH", i & 0xFFFF, 0x8180, 1, 1, 0, 0) + question +
                b"\xc0\x0c\0\1\0\1" + struct.pack(">IHI", 300, 4, server(i)))]


def bulk(i):
    """Two segments and an acknowledgement of one of ten long transfers."""
    flow, turn = i % 10, i // 10
    a, b, seq = (host(flow), 50000 + flow), (server(flow), 9000), 1000 + turn * 2 * BULK_PAYLOAD
    body = bytes(BULK_PAYLOAD)
    return [tcp(a, b, ACK, seq & 0xFFFFFFFF, 1, body), tcp(a, b, ACK, (seq + BULK_PAYLOAD) & 0xFFFFFFFF, 1, body),
            tcp(b, a, ACK, 1, (seq + 2 * BULK_PAYLOAD) & 0xFFFFFFFF)]


def datagrams(i):
    a, b = (host(i), 40000 + i % 20), (server(i), 4000)
    return [udp(a, b, bytes(120)), udp(b, a, bytes(60))]


def make_capture(path, packets):
    """Of each 20 packets 9 are of a short connection, 3 of a bulk transfer, 4 of lookups, 4 of datagrams."""
    written = size = 0
    out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)]
    with open(path, "wb") as file:
        i = 0
        while written < packets and size < MAX_BYTES:
            for frame in (*short_connection(i), *bulk(i), *lookup(2 * i), *lookup(2 * i + 1), *datagrams(2 * i), *datagrams(2 * i + 1)):
                seconds, us = divmod(written * GAP_US, 1_000_000)
                out.append(struct.pack("<IIII", 1_700_000_000 + seconds, us, len(frame), len(frame)) + frame)
                written += 1
            i += 1
            if i % 1000 == 0:
                size += file.write(b"".join(out))
                out.clear()
        size += file.write(b"".join(out))
    return written, size


# --- the readers ---------------------------------------------------------------------------------------------------------
def measure(command):
    """Wall and CPU seconds and peak memory of a process."""
    begun = time.monotonic()
    with subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        error = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]}: exit {process.returncode}\n{error.decode(errors='replace')[-2000:]}")
    return {"wall_s": time.monotonic() - begun, "cpu_s": usage.ru_utime + usage.ru_stime, "rss_kib": usage.ru_maxrss}


def readers(capture, work):
    found = {"culprit": lambda: [BIN / "culprit-agent", "replay", capture, "--out", "/dev/null", "--data", work / "state"]}
    argus = os.environ.get("ARGUS") or shutil.which("argus") or shutil.which("/usr/sbin/argus")
    if shutil.which("tshark"):
        found["tshark"] = lambda: ["tshark", "-n", "-q", "-r", capture, "-z", "conv,tcp", "-z", "conv,udp"]
    if argus:
        found["argus"] = lambda: [argus, "-X", "-r", capture, "-w", "/dev/null"]
    for name in ("tshark", "argus"):
        if name not in found:
            print(f"left out: {name} is not installed")
    return found


def summary(rounds, packets, size):
    def of(value):
        values = sorted(value(r) for r in rounds)
        return {"median": statistics.median(values), "min": values[0], "max": values[-1]}
    return {"packets_per_s": of(lambda r: packets / r["wall_s"]), "mb_per_s": of(lambda r: size / 1e6 / r["wall_s"]),
            "cpu_s": of(lambda r: r["cpu_s"]), "packets_per_cpu_s": of(lambda r: packets / r["cpu_s"]),
            "rss_mib": of(lambda r: r["rss_kib"] / 1024)}


def text(figure, digits=0):
    return f"{figure['median']:,.{digits}f} ({figure['min']:,.{digits}f}..{figure['max']:,.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path, help="directory for the capture, which stays there and is used again")
    options = parser.parse_args()
    if not (BIN / "culprit-agent").exists():
        print(f"skipped: no culprit-agent in {BIN} (CULPRIT_BIN)")
        sys.exit(SKIP)
    with tempfile.TemporaryDirectory(prefix="culprit-replay-bench-") as directory:
        work = pathlib.Path(directory)
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
        capture = (options.keep or work) / f"bench-{options.packets}.pcap"
        packets, size = make_capture(capture, options.packets)
        print(f"{packets:,} packets, {size / 1e6:,.0f} MB")
        tools = readers(capture, work)
        measured = {name: [] for name in tools}
        for _ in range(options.rounds):
            for name, command in tools.items():
                shutil.rmtree(work / "state", ignore_errors=True)
                measured[name].append(measure(command()))
    result = {name: summary(rounds, packets, size) for name, rounds in measured.items()}
    print(f"{'':8} {'packets/s':>34} {'MB/s':>20} {'CPU s':>24} {'MiB':>8}")
    for name, row in result.items():
        print(f"{name:8} {text(row['packets_per_s']):>34} {text(row['mb_per_s']):>20} {text(row['cpu_s'], 2):>24} {row['rss_mib']['median']:>8.0f}")
    ratios = {}
    for name in result:
        if name != "culprit":
            pairs = list(zip(measured["culprit"], measured[name]))
            ratios[name] = {"wall": statistics.median(b["wall_s"] / a["wall_s"] for a, b in pairs),
                            "cpu": statistics.median(b["cpu_s"] / a["cpu_s"] for a, b in pairs)}
            print(f"against {name}: {ratios[name]['wall']:.2f} times as fast, {ratios[name]['cpu']:.2f} times by CPU time")
    if options.json:
        options.json.write_text(json.dumps({"packets": packets, "bytes": size, "tools": result, "ratios": ratios, "rounds": measured}, indent=1))


if __name__ == "__main__":
    main()
