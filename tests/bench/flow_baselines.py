# SPDX-License-Identifier: Apache-2.0
"""What detectors that see flows alone would say of the same input: their published rules and thresholds, written anew.

    slips     fixed thresholds by hour: more than 5 ports of a host or 5 hosts of a port without an answer, ping sweeps of 5 hosts,
              9 short connections to one SSH server, 100 MB in one flow or 500 MB to one address
    rita      the beacon score of version 5 (intervals, sizes, duration, histogram) over the whole capture, 0.9 and above
    nemea     50 targets or ports of unanswered TCP, 200 SYNs to 200 hosts in five minutes, 270,000 SYNs to a target, 60 SSH
              connections of a guess's shape, amplification by answers, miners by the shape of their flows (7 points)
    window20  20 different failed targets within a minute

Each is a function of flows that gives pairs of a class (as detection.py names them) and the address that is accused.
"""
import collections
import ipaddress
import math
import statistics

TCP, UDP, ICMP, ICMP6 = 6, 17, 1, 58
INBOUND, OUTBOUND = 2, 1
Flow = collections.namedtuple("Flow", "start last protocol src sport dst dport sent received sent_packets received_packets")


def read(path):
    """Flows by who began them, each once, however many ends told it."""
    seen = {}
    for line in path.read_text().splitlines():
        cells = line.split("\t")
        start, last, protocol, direction, _, local, lport, remote, rport = cells[:9]
        tx, rx, tx_packets, rx_packets = map(int, cells[9:13])
        if int(direction) not in (INBOUND, OUTBOUND):
            continue
        ends = (local, int(lport)), (remote, int(rport))
        counts = (tx, rx, tx_packets, rx_packets)
        if int(direction) == INBOUND:
            ends, counts = ends[::-1], (rx, tx, rx_packets, tx_packets)
        flow = Flow(int(start) / 1e9, int(last) / 1e9, int(protocol), *ends[0], *ends[1], *counts)
        seen.setdefault((flow.protocol, ends, round(flow.start, 3)), flow)
    return sorted(seen.values(), key=lambda f: f.start)


def established(flow):
    return flow.received_packets > 1 and flow.sent_packets > 1


def many(flows, key, value, most, window):
    """Sources of more than `most` different values of one key within any window."""
    groups = collections.defaultdict(list)
    for flow in flows:
        groups[key(flow)].append((flow.start, value(flow), flow.src))
    for rows in groups.values():
        recent, values = collections.deque(), collections.Counter()
        for at, what, source in rows:
            recent.append((at, what))
            values[what] += 1
            while at - recent[0][0] > window:
                _, old = recent.popleft()
                values[old] -= 1
                if values[old] == 0:
                    del values[old]
            if len(values) > most:
                yield source
                break


def slips(flows):
    failed = [f for f in flows if f.protocol in (TCP, UDP) and not established(f)]
    said = {("scan", s) for s in many(failed, lambda f: (f.src, f.dst, f.protocol), lambda f: f.dport, 5, 3600)}
    said |= {("scan", s) for s in many(failed, lambda f: (f.src, f.dport, f.protocol), lambda f: f.dst, 5, 3600)}
    pings = [f for f in flows if f.protocol in (ICMP, ICMP6)]
    said |= {("scan", s) for s in many(pings, lambda f: f.src, lambda f: f.dst, 4, 3600)}
    short = [f for f in flows if f.protocol == TCP and f.dport == 22 and established(f) and f.sent + f.received <= 4290]
    said |= {("brute force", s) for s in many(short, lambda f: (f.src, f.dst), lambda f: f.sport, 8, 3600)}
    sums = collections.Counter()
    for flow in flows:
        sums[flow.src, flow.dst, int(flow.start // 3600)] += flow.sent
        if flow.sent >= 100e6:
            said.add(("egress", flow.src))
    return said | {("egress", src) for (src, _, _), size in sums.items() if size >= 500e6}


def quartiles(values):
    ordered = sorted(values)
    at = [q * (len(ordered) - 1) for q in (0.25, 0.5, 0.75)]
    return [ordered[int(x)] + (x - int(x)) * (ordered[min(int(x) + 1, len(ordered) - 1)] - ordered[int(x)]) for x in at]


def regularity(values, default):
    low, middle, high = quartiles(values)
    skew = 0 if high - low < 10 or middle in (low, high) else (low + high - 2 * middle) / (high - low)
    spread = statistics.median(abs(v - middle) for v in values)
    mad = default if middle < 1 else max(0.0, (middle - spread) / middle)
    return (1 - abs(skew) + mad) / 2


def histogram_score(bins):
    mean = sum(bins) / len(bins)
    coefficient = math.sqrt(sum((b - mean) ** 2 for b in bins) / len(bins)) / mean
    steady = max(0.0, 1 - coefficient)
    used = [b for b in bins if b]
    if len(used) < 11:
        return steady
    bucket = max(1, math.ceil(0.05 * max(used)))
    heights = collections.Counter(math.ceil(b / bucket) for b in used)
    return max(steady, min(1.0, sum(n for _, n in heights.most_common(2)) / (len(used) - 1)))


def rita_score(rows, begin, span):
    times = sorted({int(f.start) for f in rows})
    gaps = [b - a for a, b in zip(times, times[1:])]
    bins = [0] * 24
    for flow in rows:
        bins[min(23, int((flow.start - begin) * 24 / span))] += 1
    run = longest = 0
    for used in (bins + bins):
        run = run + 1 if used else 0
        longest = max(longest, min(run, 24))
    covered = (times[-1] - times[0]) / span
    duration = max(min(1.0, covered), min(1.0, longest / 12)) if sum(map(bool, bins)) >= 6 else 0.0
    return (regularity(gaps, 1) + regularity([f.sent for f in rows], 0) + duration + histogram_score(bins)) / 4


def rita(flows, least=0.9):
    if not flows:
        return set()
    begin, end = flows[0].start, max(f.last for f in flows)
    span = max(end - begin, 1.0)
    pairs = collections.defaultdict(list)
    for flow in flows:
        if flow.protocol in (TCP, UDP) and not ipaddress.ip_address(flow.dst).is_multicast:
            pairs[flow.src, flow.dst].append(flow)
    said = set()
    for (src, _), rows in pairs.items():
        if len({int(f.start) for f in rows}) >= 4 and (len(rows) >= 86400 or rita_score(rows, begin, span) >= least):
            said.add(("beacon", src))
    return said


def miner_points(rows):
    packets = sum(f.sent_packets for f in rows)
    active = max(f.last for f in rows) - rows[0].start
    if packets == 0 or active <= 0:
        return 0
    size, each, minute = sum(f.sent for f in rows) / packets, packets / len(rows), packets * 60 / active
    # Flags are not in the rows: that most flows go on without a SYN shows in how few are begun.
    going_on = len(rows) <= 2 and active > 60
    return 2 * going_on + 2 * (50 <= size <= 130) + (not 10 <= each <= 20) + 2 * (8 <= minute <= 30) + 3 * (active > 300)


def nemea(flows):
    tcp = [f for f in flows if f.protocol == TCP]
    syns = [f for f in tcp if f.received_packets == 0 and f.sent_packets <= 4]
    refused = [f for f in tcp if f.sent_packets <= 4 and f.received_packets <= 4]
    said = {("scan", s) for s in many(syns, lambda f: (f.src, f.dport), lambda f: f.dst, 49, 300)}
    said |= {("scan", s) for s in many(refused, lambda f: (f.src, f.dst), lambda f: f.dport, 49, 300)}
    said |= {("scan", s) for s in many(syns, lambda f: f.src, lambda f: f.dst, 199, 300)}
    hits = collections.Counter((f.src, f.dst, int(f.start // 300)) for f in syns)
    said |= {("flood", src) for (src, _, _), n in hits.items() if n >= 270_000}
    guesses = [f for f in tcp if f.dport == 22 and 5 <= f.sent_packets <= 20 and 10 <= f.received_packets <= 25]
    said |= {("brute force", s) for s in many(guesses, lambda f: f.src, lambda f: (f.dst, f.sport), 59, 300)}
    answers = collections.Counter()
    for flow in flows:
        if flow.protocol == UDP and flow.received > 5 * flow.sent and flow.received >= 1000 * max(1, flow.received_packets):
            answers[flow.dst] += 1
    said |= {("reflector", service) for service, n in answers.items() if n >= 1000}
    pools = collections.defaultdict(list)
    for flow in tcp:
        if established(flow):
            pools[flow.src, flow.dst, flow.dport].append(flow)
    return said | {("mining", key[0]) for key, rows in pools.items() if miner_points(rows) >= 7}


def window20(flows):
    failed = [f for f in flows if f.protocol in (TCP, UDP) and f.received_packets <= 1 and f.sent_packets <= 4]
    return {("scan", s) for s in many(failed, lambda f: f.src, lambda f: (f.dst, f.dport), 19, 60)}


ALL = {"slips": slips, "rita": rita, "nemea": nemea, "window20": window20}
