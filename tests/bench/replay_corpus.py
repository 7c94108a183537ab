#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replay of captures against another reader of them: replay_corpus.py [--only TEXT] [--smaller BYTES] [--json FILE] [--verbose]

Every capture of $CULPRIT_CORPUS (default: shared/corpus beside the checkout) is replayed and compared with what tshark
says about the same packets, every Zeek conn.log with its own rows:

    flows    TCP, UDP and ICMP tuples, and for each tuple packets and IP bytes of both directions, which must be equal
    streams  connections of each tuple, against tshark's tcp.stream
    DNS      questions (name, type) and addresses of answers
    SNI      names in TLS and QUIC hellos, by tuple
    Host     the first Host of each HTTP connection

A difference that one of RULES explains is counted under that rule; any other is printed and makes the exit status 1.
Needs tshark (apt-get install tshark); without it, or without the corpus, the status is 77.
"""
import argparse
import collections
import ipaddress
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BIN = pathlib.Path(os.environ.get("CULPRIT_BIN", TOP / "build/dev/bin"))
CORPUS = pathlib.Path(os.environ.get("CULPRIT_CORPUS", TOP.parent / "shared/corpus"))
SKIP = 77
MAGICS = (b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1", b"\x0a\x0d\x0d\x0a", b"\xa1\xb2\xcd\x34", b"\x34\xcd\xb2\xa1")
TCP, UDP = 6, 17
PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": 1, "icmpv6": 58}

RULES = {
    "reuse": "a tuple is used again: we begin a flow at a SYN with another sequence number and after an end, tshark by rules of its own",
    "fragments": "fragments behind the first have no ports: we place them by the first of the same pair that came last, this script by its "
                 "identification; the pair's sums are equal",
    "rate": "DNS records of one process are limited to 50 a second, and this capture has a second with more",
    "bounded": "a name that is longer than 253 characters when it is escaped keeps its end",
    "undissected": "tshark leaves a segment alone whose payload has the Host in plain",
    "decoded-as": "tshark takes the protocol by the port; told what the content is, it finds the same name",
}
MAX_NAME = 253  # kMaxNameLength
MAX_QUESTIONS_A_SECOND = 50  # NameBookLimits::questions_a_second


# --- captures ------------------------------------------------------------------------------------------------------------
def unpacked(path, wanted, work):
    """(name, path) of the members of an archive that `wanted` takes; those behind a password are left out."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            if member.flag_bits & 1:
                print(f"left out: {path.relative_to(CORPUS)}:{member.filename} is encrypted")
                continue
            content = archive.read(member)
            if wanted(member.filename, content):
                out = work / f"member-{len(list(work.iterdir()))}"
                out.write_bytes(content)
                yield f"{path.relative_to(CORPUS)}:{member.filename}", out


def inputs(wanted, work):
    """(name, path) of each file of the corpus, in archives as well, that `wanted` takes by name and first bytes."""
    for path in sorted(p for p in CORPUS.rglob("*") if p.is_file()):
        if path.suffix == ".zip":
            yield from unpacked(path, wanted, work)
        else:
            with path.open("rb") as file:
                if wanted(path.name, file.read(4)):
                    yield str(path.relative_to(CORPUS)), path


def is_capture(_name, content):
    return content[:4] in MAGICS


def is_conn_log(name, _content):
    return pathlib.PurePath(name).name.startswith("conn.log")


# --- ours ------------------------------------------------------------------------------------------------------------------
def endpoint(text):
    address, port = text.rsplit(":", 1)
    return address.strip("[]"), int(port)


def key_of(a, b, protocol):
    return (a, b, protocol) if a < b else (b, a, protocol)


class Side:
    """What one reader says: totals[key] = [packets, bytes of low -> high, packets, bytes of high -> low]."""

    def __init__(self):
        self.totals = collections.defaultdict(lambda: [0, 0, 0, 0])
        self.streams = collections.defaultdict(set)
        self.questions = collections.Counter()
        self.cut_names = set()
        self.answers = collections.defaultdict(set)
        self.sni = collections.defaultdict(set)
        self.hosts = collections.defaultdict(list)
        self.fragmented = set()  # pairs of addresses
        self.busy = collections.Counter()  # DNS messages by second

    def add(self, source, destination, protocol, packets, size):
        key = key_of(source, destination, protocol)
        totals = self.totals[key]
        at = 0 if key[0] == source else 2
        totals[at] += packets
        totals[at + 1] += size
        return key


def replay(path, work):
    out = work / "ours.json"
    shutil.rmtree(work / "data", ignore_errors=True)
    done = subprocess.run([str(BIN / "culprit-agent"), "replay", str(path), "--out", str(out), "--data", str(work / "data")],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None, done.stderr
    side, rows, names = Side(), {}, []
    with out.open() as lines:
        for line in lines:
            record = json.loads(line)
            if record["type"] == "flow":
                # Cumulative, and of two lanes: the newest need not be the last.
                key, age = (record["flow"], record["process"]), (record["at"], record["tx_packets"] + record["rx_packets"])
                if key not in rows or age >= rows[key][0]:
                    rows[key] = age, record
            elif record["type"] == "name":
                names.append(record)
            elif record["type"] == "dns":
                question = canonical(record["name"]), record["qtype"]
                side.questions[question] += record["questions"]
                side.answers[question] |= set(record["answers"])
                if len(record["name"]) > MAX_NAME - 4:
                    side.cut_names.add(question)
    told_out = {(key_of(endpoint(r["local"]), endpoint(r["remote"]), r["protocol"]), r["start"])
                for _, r in rows.values() if r["direction"] == "out"}
    keys = {}
    for (flow, _), (_, row) in rows.items():
        local, remote = endpoint(row["local"]), endpoint(row["remote"])
        keys[flow] = key = key_of(local, remote, row["protocol"])
        # Between two watched hosts both ends tell: one of them counts.
        if row["direction"] == "in" and (key, row["start"]) in told_out:
            continue
        side.add(local, remote, row["protocol"], row["tx_packets"], row["tx_wire_bytes"])
        side.add(remote, local, row["protocol"], row["rx_packets"], row["rx_wire_bytes"])
        side.streams[key].add(flow)
    for name in names:
        if name["source"] in ("tls_sni", "quic_sni") and name["name"]:
            side.sni[keys.get(name["flow"])].add(canonical(name["name"]))
        elif name["source"] == "http_host" and name["name"]:
            side.hosts[keys.get(name["flow"])].append(canonical(name["name"]))
    return side, ""


# --- tshark ----------------------------------------------------------------------------------------------------------------
FIELDS = ["frame.protocols", "ip.src", "ip.dst", "ip.len", "ip.id", "ip.frag_offset", "ip.flags.mf", "ip.proto",
          "ipv6.src", "ipv6.dst", "ipv6.plen", "ipv6.fraghdr.offset", "ipv6.fraghdr.ident", "ipv6.fraghdr.nxt",
          "tcp.srcport", "tcp.dstport", "tcp.stream", "udp.srcport", "udp.dstport"]
NAMES = ["frame.protocols", "frame.time_epoch", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport",
         "dns.flags.response", "dns.qry.name", "dns.qry.type", "dns.a", "dns.aaaa",
         "tls.handshake.extensions_server_name", "http.host"]
SEPARATOR = "\x1e"


def tshark(path, fields, *options):
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=/t", "-E", f"aggregator={SEPARATOR}", *options]
    for field in fields:
        command += ["-e", field]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace") as process:
        for line in process.stdout:
            values = line.rstrip("\n").split("\t")
            yield dict(zip(fields, ([v for v in value.split(SEPARATOR) if v != ""] for value in values)))


def layers(packet):
    """[(kind, index of its kind)] of IP headers, and the transport behind the innermost; nothing behind ICMP, which quotes."""
    found, counts, transport = [], collections.Counter(), None
    names = packet["frame.protocols"][0].split(":") if packet["frame.protocols"] else []
    for name in names:
        if name in ("ip", "ipv6"):
            found.append((name, counts[name]))
            transport = None
        elif name in ("tcp", "udp") and transport is None and found:
            transport = (name, counts[name])
        elif name in ("icmp", "icmpv6"):
            return found, (name, 0)
        counts[name] += 1
    return found, transport


def at(packet, field, index):
    values = packet.get(field) or []
    return values[index] if -len(values) <= index < len(values) else None


def number(text):
    return int(text, 0) if text is not None else None


def tuple_of(packet):
    """(source, destination, protocol) of the innermost packet, or None."""
    found, transport = layers(packet)
    if not found or transport is None:
        return None
    ip, index = found[-1]
    kind, nth = transport
    ports = number(at(packet, f"{kind}.srcport", nth)), number(at(packet, f"{kind}.dstport", nth))
    source, destination = at(packet, f"{ip}.src", index), at(packet, f"{ip}.dst", index)
    if kind.startswith("icmp"):
        ports = 0, 0
    if None in ports or source is None:
        return None
    return (plain(source), ports[0]), (plain(destination), ports[1]), PROTOCOLS[kind]


def portless(packet, ip, index):
    kind = at(packet, "ip.proto" if ip == "ip" else "ipv6.fraghdr.nxt", index if ip == "ip" else 0)
    return ((plain(at(packet, f"{ip}.src", index)), 0), (plain(at(packet, f"{ip}.dst", index)), 0), number(kind)) if kind else None


def pair_of(key):
    """Addresses and protocol of a tuple, without ports."""
    return (*sorted((key[0][0], key[1][0])), key[2])


def plain(address):
    parsed = ipaddress.ip_address(address)
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def packets_of_tshark(path):
    side, first = Side(), {}
    for packet in tshark(path, FIELDS, "-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE"):
        found, transport = layers(packet)
        if not found:
            continue
        ip, index = found[-1]
        if ip == "ip":
            size, ident, offset = number(at(packet, "ip.len", index)), at(packet, "ip.id", index), number(at(packet, "ip.frag_offset", index))
        else:
            plen = number(at(packet, "ipv6.plen", index))
            size = plen + 40 if plen is not None else None
            ident, offset = at(packet, "ipv6.fraghdr.ident", 0), number(at(packet, "ipv6.fraghdr.offset", 0))
        ends = tuple_of(packet)
        fragment = (at(packet, f"{ip}.src", index), at(packet, f"{ip}.dst", index), ident)
        if ends is None and offset:
            ends = first.get(fragment) or portless(packet, ip, index)
        if offset and ends:
            side.fragmented.add(pair_of(ends))
        if ends is None or size is None:
            continue
        more = at(packet, "ip.flags.mf", index) if ip == "ip" else at(packet, "ipv6.fraghdr.ident", 0)
        if more not in (None, "0", "False") and not offset:
            first[fragment] = ends
        key = side.add(*ends, 1, size)
        if transport and transport[0] == "tcp":
            stream = at(packet, "tcp.stream", -1)
            side.streams[key].add(stream)
    return side


def canonical(name):
    """A name as both can write it: tshark has U+FFFD or a letter for the bytes that we escape one by one."""
    def byte(match):
        value = int(match[1], 16)
        return chr(value) if 0x20 < value < 0x7F else "\ufffd"
    return re.sub(r"[^!->@-~]+", "?", re.sub(r"\\x([0-9a-f]{2})", byte, name.lower())).rstrip(".")


def port_text(host):
    """A Host without its port, as a name."""
    return canonical(re.sub(r":\d+$", "", host).strip("[]"))


def names_of_tshark(path, side, *options):
    for packet in tshark(path, NAMES, *options, "-Y", "dns or mdns or llmnr or tls.handshake.extensions_server_name or http.host"):
        ends = tuple_of(packet)
        if ends is None:
            continue
        key = key_of(*ends)
        protocols = packet["frame.protocols"][0].split(":")
        if packet["dns.flags.response"]:
            response = packet["dns.flags.response"][0] in ("1", "True")
            side.busy[packet["frame.time_epoch"][0].split(".")[0]] += 1
            for name, kind in zip(packet["dns.qry.name"][:1], packet["dns.qry.type"][:1]):
                question = (canonical(name), number(kind))
                side.questions[question] += 0 if response else 1
                if response:
                    side.answers[question] |= {plain(a) for a in packet["dns.a"] + packet["dns.aaaa"]}
        for name in packet["tls.handshake.extensions_server_name"]:
            side.sni[key].add(canonical(name))
        if "http" in protocols:
            side.hosts[key] += [port_text(host) for host in packet["http.host"]]


# --- differences -------------------------------------------------------------------------------------------------------------
class Verdict:
    def __init__(self):
        self.explained, self.wrong = collections.Counter(), []
        self.differ = self.wrong.append

    def explain(self, rule):
        self.explained[rule] += 1


def compare_flows(ours, theirs, verdict):
    pairs = [collections.defaultdict(collections.Counter) for _ in range(2)]
    for sums, side in zip(pairs, (ours, theirs)):
        for key, totals in side.totals.items():
            sums[pair_of(key)].update(packets=totals[0] + totals[2], bytes=totals[1] + totals[3])
    for key in sorted(set(ours.totals) | set(theirs.totals)):
        if key[2] not in PROTOCOLS.values():
            continue
        mine, other, pair = ours.totals.get(key), theirs.totals.get(key), pair_of(key)
        if mine != other and pair in theirs.fragmented and pairs[0][pair] == pairs[1][pair]:
            verdict.explain("fragments")
        elif mine != other:
            verdict.differ(f"tuple {key}: ours {mine}, tshark {other}")
        elif key[2] == TCP and len(ours.streams[key]) != len(theirs.streams[key]):
            verdict.explain("reuse")


def compare_questions(ours, theirs, verdict):
    ends = {(name, kind): [n for n, k in theirs.questions if k == kind and n.endswith(name)] for name, kind in ours.cut_names}
    cut = {(full, kind) for (_, kind), names in ends.items() for full in names} | {q for q, names in ends.items() if names}
    over_rate = max(theirs.busy.values(), default=0) > MAX_QUESTIONS_A_SECOND
    for question in sorted(set(ours.questions) | set(theirs.questions), key=str):
        mine, other = ours.questions.get(question), theirs.questions.get(question)
        if question in cut:
            verdict.explain("bounded")
        elif mine is None and over_rate:
            verdict.explain("rate")
        elif mine is None or other is None:
            verdict.differ(f"question {question}: ours {mine}, tshark {other}")
        elif not ours.answers[question] and theirs.answers[question]:
            verdict.differ(f"answers to {question}: ours none, tshark {sorted(theirs.answers[question])}")


def names_decoded_as(path, ours, theirs):
    """What tshark finds where it is told that the ports of our names carry TLS or HTTP."""
    options = []
    for kind, mine, other in (("tls", ours.sni, theirs.sni), ("http", ours.hosts, theirs.hosts)):
        ports = {end[1] for key in set(mine) - set(other) if key for end in key[:2] if key[2] == TCP}
        for port in sorted(ports)[:64]:
            options += ["-d", f"tcp.port=={port},{kind}"]
    again = Side()
    if options:
        names_of_tshark(path, again, *options)
    return again


def in_payload(path, key, names):
    payloads = tshark(path, ["tcp.payload"], "-Y", f"tcp.port=={key[0][1]} && tcp.port=={key[1][1]}")
    text = b"".join(bytes.fromhex(part) for packet in payloads for part in packet["tcp.payload"]).lower()
    return all(b"host: " + name.encode() in text for name in names)


def compare_names(path, ours, theirs, verdict):
    again = names_decoded_as(path, ours, theirs)
    for what, mine, other, told in (("SNI", ours.sni, theirs.sni, again.sni), ("Host", ours.hosts, theirs.hosts, again.hosts)):
        for key in sorted(set(mine) | set(other), key=str):
            a, b, c = (list(side.get(key) or []) for side in (mine, other, told))
            if what == "Host":
                a, b, c = a[:1], b[:1], c[:1]
            if set(a) == set(b):
                continue
            if set(a) == set(c):
                verdict.explain("decoded-as")
            elif what == "Host" and a and not b and in_payload(path, key, a):
                verdict.explain("undissected")
            else:
                verdict.differ(f"{what} of {key}: ours {sorted(a)}, tshark {sorted(b)}")


def compare_capture(path, ours, verdict):
    theirs = packets_of_tshark(path)
    names_of_tshark(path, theirs)
    compare_flows(ours, theirs, verdict)
    compare_questions(ours, theirs, verdict)
    compare_names(path, ours, theirs, verdict)
    return theirs


# --- Zeek ------------------------------------------------------------------------------------------------------------------
def zeek_rows(path):
    """Each connection of a conn.log, lines of tabs or of JSON, by names of fields."""
    fields = []
    with path.open(errors="replace") as lines:
        for line in lines:
            if line.startswith("#fields"):
                fields = line.rstrip("\n").split("\t")[1:]
            elif line.startswith("{"):
                yield {re.sub(r"^id_(orig|resp)_", r"id.\1_", name): value for name, value in json.loads(line).items()}
            elif not line.startswith("#") and fields:
                yield {name: value for name, value in zip(fields, line.rstrip("\n").split("\t")) if value not in ("-", "(empty)")}


def rows_of_zeek(path):
    side = Side()
    for number, row in enumerate(zeek_rows(path)):
        protocol = PROTOCOLS.get(row["proto"])
        if protocol is None:
            continue
        if row["proto"] == "icmp":  # its ports are type and code
            protocol = PROTOCOLS["icmpv6" if ":" in row["id.orig_h"] else "icmp"]
        ports = (0, 0) if row["proto"] == "icmp" else (int(row["id.orig_p"]), int(row["id.resp_p"]))
        ends = (plain(row["id.orig_h"]), ports[0]), (plain(row["id.resp_h"]), ports[1])
        for source, destination, who in ((*ends, "orig"), (*reversed(ends), "resp")):
            size = row.get(f"{who}_ip_bytes", row.get(f"{who}_bytes", 0))
            key = side.add(source, destination, protocol, int(row.get(f"{who}_pkts", 0)), int(size))
        side.streams[key].add(number)
    return side


def compare_zeek(path, ours, verdict):
    theirs = rows_of_zeek(path)
    for key in sorted(set(ours.totals) | set(theirs.totals)):
        counts = [(side.totals.get(key), len(side.streams[key])) for side in (ours, theirs)]
        if counts[0] != counts[1]:
            verdict.differ(f"tuple {key}: ours {counts[0]}, the log {counts[1]}")
    return theirs


# --- the table ---------------------------------------------------------------------------------------------------------------
def transport(side):
    return [totals for key, totals in side.totals.items() if key[2] in PROTOCOLS.values()]


def row_of(name, path, work, compare):
    verdict = Verdict()
    ours, error = replay(path, work)
    theirs = None
    if ours is None:
        verdict.differ(f"replay failed: {error}")
    else:
        theirs = compare(path, ours, verdict)
    row = {"capture": name, "explained": dict(verdict.explained), "wrong": verdict.wrong}
    for who, side in (("ours", ours), ("tshark", theirs)):
        if side is None:
            continue
        row[who] = {"flows": len(transport(side)), "bytes": sum(t[1] + t[3] for t in transport(side)),
                    "packets": sum(t[0] + t[2] for t in transport(side)), "questions": len(side.questions),
                    "sni": sum(map(len, side.sni.values())), "hosts": len(side.hosts)}
    return row


def print_row(row):
    def pair(field):
        return f"{row.get('ours', {}).get(field, '-')}/{row.get('tshark', {}).get(field, '-')}"
    verdict = "WRONG" if row["wrong"] else ", ".join(f"{k} {v}" for k, v in row["explained"].items()) or "equal"
    print(f"{row['capture'][-44:]:44} {pair('flows'):>12} {pair('bytes'):>19} {pair('questions'):>9} {pair('sni'):>7} {pair('hosts'):>7}  {verdict}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="captures whose name contains this")
    parser.add_argument("--smaller", type=int, default=1 << 40, help="captures of fewer bytes than this")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--verbose", action="store_true", help="every difference, not the first five of a capture")
    options = parser.parse_args()
    if not CORPUS.is_dir():
        print(f"skipped: no captures in {CORPUS} (CULPRIT_CORPUS)")
        return SKIP
    if shutil.which("tshark") is None:
        print("skipped: tshark is not installed: apt-get install tshark")
        return SKIP
    rows = []
    with tempfile.TemporaryDirectory(prefix="culprit-corpus-") as directory:
        work = pathlib.Path(directory)
        print(f"{'capture':44} {'flows':>12} {'bytes':>19} {'DNS':>9} {'SNI':>7} {'Host':>7}  ours/other")
        for wanted, compare in ((is_capture, compare_capture), (is_conn_log, compare_zeek)):
            for name, path in inputs(wanted, work):
                if options.only not in name or path.stat().st_size >= options.smaller:
                    continue
                rows.append(row_of(name, path, work, compare))
                print_row(rows[-1])
                for text in rows[-1]["wrong"][:None if options.verbose else 5]:
                    print(f"    {text}")
    wrong = [row for row in rows if row["wrong"]]
    for rule in sorted({rule for row in rows for rule in row["explained"]}):
        print(f"{rule}: {RULES[rule]}")
    print(f"{len(rows)} captures and logs, {len(wrong)} with unexplained differences")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
