# SPDX-License-Identifier: Apache-2.0
"""An independent reader of the framed log (DESIGN.md "Formats"): shares no code with the daemons, so that a test of
what is on disk does not ask the program under test."""
import collections
import hashlib
import pathlib
import struct

SEGMENT = struct.Struct("<QII16sQq12sI")
FRAME = struct.Struct("<IHBB16sQQqIIIBBH32s")
SEGMENT_MAGIC = int.from_bytes(b"CULPLOG1", "little")
FRAME_MAGIC = 0x31524643
OVERHEAD = 96 + 32 + 4
LANES = ("evidence", "bulk")

Frame = collections.namedtuple("Frame", "kind lane stream seq boot_ns wall_ns records prev hash payload header offset")


def parse_header(raw, digest, payload, offset):
    f = FRAME.unpack(raw)
    return Frame(f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[14], digest, payload, raw, offset)


def read_segment(path, problems):
    """Frames of one file, in order. A torn tail ends the list; anything else that does not check out is a problem."""
    data = pathlib.Path(path).read_bytes()
    if len(data) < 64:
        return []
    if SEGMENT.unpack_from(data)[0] != SEGMENT_MAGIC:
        problems.append(f"{path}: no segment magic")
    frames, at = [], 64
    while at + OVERHEAD <= len(data):
        header = data[at:at + 96]
        if FRAME.unpack(header)[0] != FRAME_MAGIC:
            problems.append(f"{path}: no frame at {at} of {len(data)}")
            break
        length = FRAME.unpack(header)[9]
        if at + OVERHEAD + length > len(data):
            break
        digest = data[at + 96:at + 128]
        payload = data[at + OVERHEAD:at + OVERHEAD + length]
        if hashlib.sha256(header + payload).digest() != digest:
            problems.append(f"{path}: hash of the frame at {at} does not hold")
            break
        frames.append(parse_header(header, digest, payload, at))
        at += OVERHEAD + length
    return frames


def read_journal(directory, problems):
    """[(lsn, agent's frame)]; checks the journal's own chain and LSNs, and each agent frame's hash."""
    entries, previous, expected = [], None, None
    for path in sorted(pathlib.Path(directory).glob("journal-*.clog")):
        for frame in read_segment(path, problems):
            if expected is not None and frame.seq != expected:
                problems.append(f"{path}: LSN {frame.seq} where {expected} was due")
            if previous is not None and frame.prev != previous:
                problems.append(f"{path}: LSN {frame.seq} does not continue the chain")
            previous, expected = frame.hash, frame.seq + 1
            (stamp_length,) = struct.unpack_from("<I", frame.payload)
            at = 4 + stamp_length
            header, digest = frame.payload[at:at + 96], frame.payload[at + 96:at + 128]
            payload = frame.payload[at + 128:]
            if hashlib.sha256(header + payload).digest() != digest:
                problems.append(f"{path}: the agent's frame in LSN {frame.seq} has a wrong hash")
            entries.append((frame.seq, parse_header(header, digest, payload, frame.offset)))
    return entries


def check_streams(entries, problems):
    """Every (stream, lane) has each seq once, in order and chained. Returns the newest seq of each."""
    heads, hashes, holes = {}, {}, []
    for lsn, frame in entries:
        key = (frame.stream, frame.lane)
        last = heads.get(key, 0)
        if frame.seq <= last:
            problems.append(f"LSN {lsn}: {LANES[frame.lane]} {frame.seq} again (newest is {last})")
        elif frame.seq != last + 1:
            holes.append((key, last + 1, frame.seq - 1))
        elif last and frame.prev != hashes[key]:
            problems.append(f"LSN {lsn}: {LANES[frame.lane]} {frame.seq} does not continue its chain")
        heads[key], hashes[key] = max(last, frame.seq), frame.hash
    return heads, holes


def read_spool(directory, problems):
    """{lane: frames on disk}."""
    lanes = {0: [], 1: []}
    for lane, name in enumerate(LANES):
        for path in sorted(pathlib.Path(directory).glob(f"{name}-*.clog")):
            try:
                lanes[lane] += read_segment(path, problems)
            except FileNotFoundError:
                pass  # acknowledged and removed meanwhile
        for a, b in zip(lanes[lane], lanes[lane][1:]):
            if b.seq != a.seq + 1 or b.prev != a.hash:
                problems.append(f"spool {name}: {b.seq} does not follow {a.seq}")
    return lanes


def read_acked(directory):
    """(stream, {lane: acked}) out of the spool's `acked`; None while there is none."""
    try:
        lines = (pathlib.Path(directory) / "acked").read_text().splitlines()
    except FileNotFoundError:
        return None
    stream = bytes.fromhex(lines[0].split()[1].replace("-", ""))
    return stream, {LANES.index(line.split()[0]): int(line.split()[2]) for line in lines[1:] if " acked " in line}
