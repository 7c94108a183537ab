#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the detectors say of captures that nobody here made: detection.py [--only TEXT] [--json FILE] [--verbose]

Each capture of $CULPRIT_CORPUS (default: shared/corpus beside the checkout) that INDEX.tsv labels is replayed, and its evidence
goes through the collector's detectors (tests/bench/detect_spool.cc). Without processes: each address is one. A labelled host
that acts must be named by a rule of its class; a benign capture must have no finding of medium severity or above, and no
capture may accuse a host that only suffers. Prints a line a capture and a summary by class with Wilson intervals.
"""
import argparse
import collections
import contextlib
import csv
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("CULPRIT_BIN", TOP / "build/dev/bin"))
CORPUS = pathlib.Path(os.environ.get("CULPRIT_CORPUS", TOP.parent / "shared/corpus"))
EVERYBODY = ["0.0.0.0/0", "::/0"]
# Class of a label, by its beginning, and the rules that answer it. None: nothing here looks for that.
CLASSES = [
    ("scan", "scan", {"scan"}), ("dos victim", None, set()), ("dos.dhcp", None, set()), ("dos", "flood", {"flood", "scan"}),
    ("bruteforce", "brute force", {"brute-force"}), ("mining", "mining", {"mining"}), ("tunnel.dns", "dns tunnel", {"dns-tunnel"}),
    ("exfil.dns", "dns tunnel", {"dns-tunnel"}), ("c2.dns", "dns tunnel", {"dns-tunnel"}), ("relay", "relay", {"relay"}),
    ("spam", "spam", {"spam"}), ("beacon", "beacon", {"beacon"}),
]
PROBLEMS = ("SEVERITY_MEDIUM", "SEVERITY_HIGH", "SEVERITY_CRITICAL")


def wilson(right, n, z=1.96):
    if n == 0:
        return (0.0, 1.0)
    p = right / n
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return ((middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n))


def findings_of(paths, hosts, work):
    """The findings of a replay, each with the address that it accuses."""
    state = work / "state"
    shutil.rmtree(state, ignore_errors=True)
    config = work / "agent.toml"
    config.write_text(f'state_dir = "{state}"\n')
    command = [BIN / "culprit-agent", "replay", paths, "--config", config]
    for host in hosts:
        command += ["--host", host]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=600, check=False)
    if not (state / "spool").is_dir():
        return None, done.stderr.strip().splitlines()[-1:]
    told = subprocess.run([BIN / "detect_spool", state / "spool"], capture_output=True, text=True, timeout=600, check=True)
    return [json.loads(line) for line in told.stdout.splitlines()], None


def unpacked(path, work):
    if path.suffix != ".zip":
        return path
    folder = work / "unpacked"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith((".pcap", ".cap", ".pcapng", ".log", ".dmp")):
                with contextlib.suppress(RuntimeError):  # encrypted
                    (folder / pathlib.Path(name).name).write_bytes(archive.read(name))
    return folder


def expectation(label):
    """(class or None, rules, hosts that act)"""
    text = label.removeprefix("MALICIOUS ")
    hosts = re.findall(r"hosts?=((?:[0-9a-f.:]+,?)+)", label)
    acting = [h for group in hosts for h in group.split(",") if re.fullmatch(r"[0-9a-f:.]+[0-9a-f]", h) and h.count(".") in (0, 3)]
    for start, name, rules in CLASSES:
        if text.startswith(start):
            return name, rules, acting
    return None, set(), acting


def busiest_host(path):
    """Of a Zeek log, whose addresses may all be public: the one that most connections begin or end at."""
    counts = collections.Counter()
    with path.open() as lines:
        for line in lines:
            cells = line.split("\t")
            if not line.startswith("#") and len(cells) > 5:
                counts.update({cells[2], cells[4]})
    return [counts.most_common(1)[0][0]] if counts else []


def captures():
    with (CORPUS / "INDEX.tsv").open() as index:
        for row in csv.DictReader(index, delimiter="\t", quoting=csv.QUOTE_NONE):
            path = CORPUS / row["path"]
            label = row["expected_label"] or ""
            if path.suffix in (".pcap", ".pcapng", ".zip", ".trace") or path.name.startswith("conn.log"):
                if "CloudTrail" not in row["shows"] and path.exists():
                    yield path, label


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    if not (CORPUS / "INDEX.tsv").exists():
        print(f"no captures under {CORPUS} (CULPRIT_CORPUS)", file=sys.stderr)
        return 77
    classes, benign, wrong = {}, [0, 0], []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for path, label in captures():
            name = str(path.relative_to(CORPUS))
            if arguments.only not in name:
                continue
            kind, rules, acting = expectation(label)
            bad = label.startswith("MALICIOUS") and kind is not None
            hosts = acting or (busiest_host(path) if path.name.startswith("conn.log") else EVERYBODY if bad else [])
            found, error = findings_of(unpacked(path, work), hosts, work)
            if found is None:
                rows.append((name, label, "unreadable", error))
                continue
            said = sorted({f"{f['rule']}/{f['severity'].removeprefix('SEVERITY_').lower()}@{f.get('commandLine', '?')}" for f in found})
            if bad:
                hit = any(f["rule"] in rules and (not acting or f.get("commandLine") in acting) for f in found)
                right = classes.setdefault(kind, [0, 0, []])
                right[0] += hit
                right[1] += 1
                verdict = "found" if hit else "MISSED"
                if not hit:
                    right[2].append(name)
            elif label.startswith("BENIGN"):
                problems = [f for f in found if f["severity"] in PROBLEMS]
                benign[0] += bool(problems)
                benign[1] += 1
                verdict = "ACCUSED" if problems else "quiet"
                if problems:
                    wrong.append(name)
            else:
                verdict = "-"
            rows.append((name, label, verdict, said))
            if arguments.verbose or verdict in ("MISSED", "ACCUSED") or said:
                print(f"{verdict:<8}{name[-58:]:<60}{label[:44]:<46}{' '.join(said)[:160]}", flush=True)
                if arguments.verbose:
                    for f in found:
                        print(f"          {f['rule']}: {f['reason']}")
    for kind, (right, n, missed) in sorted(classes.items()):
        low, high = wilson(right, n)
        print(f"{kind:<14}{right:>4} of {n:<4} found   95 % interval {low:.2f} to {high:.2f}   missed: {', '.join(missed) or 'none'}")
    print(f"benign        {benign[0]:>4} of {benign[1]:<4} accused: {', '.join(wrong) or 'none'}")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps({"rows": rows, "classes": classes, "benign": benign}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
