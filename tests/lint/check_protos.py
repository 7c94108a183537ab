#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proto files: comments stand above what they explain, never behind it; numbers with a dimension name their unit."""
import re
import sys

import lintlib

FIELD = re.compile(r"^\s*(?:repeated\s+|optional\s+)?([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*(\[[^\]]*\])?;(.*)$")
NUMBER = re.compile(r"^(u?int|sint|s?fixed)(32|64)$|^(double|float)$")
# A field whose name holds the first word must end in one of these units (or "_after_start_ns" and the like).
DIMENSIONS = [
    (re.compile(r"(^|_)(bytes|size|length)(_|$)"), re.compile(r"_bytes$|^bytes(_|$)|_len$"), "bytes"),
    (re.compile(r"(^|_)(time|duration|timeout|delay|interval|skew|age|cpu)(_|$)"),
     re.compile(r"_(ns|us|ms|s)(_|$)"), "a time unit (_ns, _us, _ms, _s)"),
]


def check(root):
    findings = []
    for name in lintlib.tree(root):
        if name.suffix != ".proto":
            continue
        previous = ""
        for number, line in enumerate(lintlib.read(root, name).splitlines(), 1):
            where = f"{name}:{number}"
            code, _, comment = line.partition("//")
            if comment and code.strip():
                findings.append(f"{where}: comment behind code; put it above")
            if re.match(r"^(message|service|enum)\s+\w+", line) and number > 1 and previous.strip() == "}":
                findings.append(f"{where}: no empty line before this definition")
            field = FIELD.match(line)
            if field and NUMBER.match(field.group(1)):
                for pattern, unit, expected in DIMENSIONS:
                    if pattern.search(field.group(2)) and not unit.search(field.group(2)):
                        findings.append(f"{where}: {field.group(2)}: the name must end in {expected}")
            if field and re.search(r"_(ns|us|ms)$", field.group(2)) and field.group(1) in ("uint32", "int32") \
                    and field.group(2).endswith("_ns"):
                findings.append(f"{where}: {field.group(2)}: nanoseconds do not fit into 32 bits")
            previous = line
    return findings


HEAD = '// SPDX-License-Identifier: Apache-2.0\nsyntax = "proto3";\n'
GOOD = {"a.proto": HEAD + "// What it is.\nmessage M {\n  // Wire bytes.\n  uint64 tx_bytes = 1;\n  int64 start_ns = 2;\n}\n"}
BROKEN = [
    ("comment behind a field", {"a.proto": HEAD + "message M {\n  int64 x = 1;  // what\n}\n"}, "put it above"),
    ("bytes without unit", {"a.proto": HEAD + "message M {\n  uint64 payload_size = 1;\n}\n"}, "must end in bytes"),
    ("time without unit", {"a.proto": HEAD + "message M {\n  int64 start_time = 1;\n}\n"}, "must end in a time unit"),
    ("short nanoseconds", {"a.proto": HEAD + "message M {\n  uint32 start_ns = 1;\n}\n"}, "do not fit"),
]

if __name__ == "__main__":
    sys.exit(lintlib.run(check, GOOD, BROKEN))
