# SPDX-License-Identifier: Apache-2.0
"""Reads the packets of a pcapng file written on this machine: (wire bytes, captured bytes, comment)."""
import struct

SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
COMMENT = 1


def options(body):
    at = 0
    while at + 4 <= len(body):
        code, length = struct.unpack_from("<HH", body, at)
        if code == 0:
            return
        yield code, body[at + 4:at + 4 + length]
        at += 4 + (length + 3) // 4 * 4


def read(path):
    """Every whole packet; what stands behind the last whole block is left out, as of a file that is being written."""
    data, at, packets = path.read_bytes(), 0, []
    while at + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if length < 12 or at + length > len(data):
            break
        if kind == PACKET:
            captured, wire = struct.unpack_from("<II", data, at + 20)
            start = at + 28
            end = start + (captured + 3) // 4 * 4
            comment = next((text for code, text in options(data[end:at + length - 4]) if code == COMMENT), b"")
            packets.append((wire, data[start:start + captured], comment.decode()))
        at += length
    return packets
