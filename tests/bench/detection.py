#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the detectors say of captures that nobody here made: detection.py [--only TEXT] [--json FILE] [--verbose] [--table]

Each capture of $CULPRIT_CORPUS (default: shared/corpus beside the checkout) that INDEX.tsv labels is replayed, and its evidence
goes through the collector's detectors (tests/bench/detect_spool.cc). Without processes: each address is one. A labelled host
that acts must be named by a rule of its class; a benign capture must have no finding of medium severity or above, and no
capture may accuse a host that only suffers. Prints a line a capture and a summary by class with Wilson intervals.

With --table the same replays are also judged without processes (all flows as of one: what is seen from outside) and by the rules of
others (tests/bench/flow_baselines.py), side by side: + found, . not found, x a benign capture that is accused, n how many are.
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

import flow_baselines

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
    return spool_findings(state / "spool"), None


def spool_findings(spool, *options):
    told = subprocess.run([BIN / "detect_spool", spool, *options], capture_output=True, text=True, timeout=600, check=True)
    return [json.loads(line) for line in told.stdout.splitlines()]


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


def others_say(kind, work):
    """What each of the others makes of the replay: of a bad capture whether it is found, of a benign one whom they accuse."""
    spool, rows = work / "state/spool", work / "flows.tsv"
    merged = spool_findings(spool, "--merged", "--flows", rows)
    flows = flow_baselines.read(rows)
    said = {"merged": {(f["rule"], "") for f in merged if f["severity"] in PROBLEMS or kind is not None}}
    for name, detector in flow_baselines.ALL.items():
        said[name] = detector(flows)
    return said


def right_of(name, said, kind, rules, acting):
    if name == "merged":
        return any(rule in rules for rule, _ in said)
    # A flood of SYNs is a scan to who counts targets, as it is in our own table.
    wanted = {kind} | ({"scan"} if kind == "flood" else set())
    return any(what in wanted and (not acting or who in acting) for what, who in said)


class Table:
    """Verdicts of all detectors side by side."""
    NAMES = ["culprit", "merged", *flow_baselines.ALL]

    def __init__(self):
        self.found = collections.defaultdict(lambda: [0, 0])
        self.accused = collections.Counter()
        self.benign = 0
        print(f"{'capture':<60}{'class':<14}" + "".join(f"{name:>10}" for name in self.NAMES))

    def take(self, name, kind, benign, verdicts):
        cells = []
        for detector in self.NAMES:
            value = verdicts[detector]
            if benign:
                self.accused[detector] += bool(value)
                cells.append(f"x{value}" if value else ".")
            else:
                self.found[kind, detector][0] += bool(value)
                self.found[kind, detector][1] += 1
                cells.append("+" if value else ".")
        self.benign += benign
        print(f"{name[-58:]:<60}{'benign' if benign else kind:<14}" + "".join(f"{c:>10}" for c in cells), flush=True)

    def close(self):
        for kind in sorted({kind for kind, _ in self.found}):
            cells = [self.found[kind, detector] for detector in self.NAMES]
            print(f"{kind:<74}" + "".join(f"{f'{right} of {n}':>10}" for right, n in cells))
        print(f"{'benign captures accused':<74}" + "".join(f"{f'{self.accused[d]} of {self.benign}':>10}" for d in self.NAMES))

    def as_dict(self):
        return {"found": {f"{k}/{d}": v for (k, d), v in self.found.items()}, "accused": dict(self.accused), "benign": self.benign}


def captures():
    with (CORPUS / "INDEX.tsv").open() as index:
        for row in csv.DictReader(index, delimiter="\t", quoting=csv.QUOTE_NONE):
            path = CORPUS / row["path"]
            label = row["expected_label"] or ""
            if path.suffix in (".pcap", ".pcapng", ".zip", ".trace") or path.name.startswith("conn.log"):
                if "CloudTrail" not in row["shows"] and path.exists():
                    yield path, label


class Tally:
    """What our own detectors were right in, by class, and which benign captures they accuse."""

    def __init__(self):
        self.classes, self.benign, self.wrong = {}, [0, 0], []

    def bad(self, name, kind, hit):
        right = self.classes.setdefault(kind, [0, 0, []])
        right[0] += hit
        right[1] += 1
        if not hit:
            right[2].append(name)
        return "found" if hit else "MISSED"

    def honest(self, name, problems):
        self.benign[0] += bool(problems)
        self.benign[1] += 1
        if problems:
            self.wrong.append(name)
        return "ACCUSED" if problems else "quiet"

    def close(self):
        for kind, (right, n, missed) in sorted(self.classes.items()):
            low, high = wilson(right, n)
            print(f"{kind:<14}{right:>4} of {n:<4} found   95 % interval {low:.2f} to {high:.2f}   missed: {', '.join(missed) or 'none'}")
        print(f"benign        {self.benign[0]:>4} of {self.benign[1]:<4} accused: {', '.join(self.wrong) or 'none'}")


def judge(path, label, work, tally, table, verbose):
    """One capture: a row for the JSON file."""
    name = str(path.relative_to(CORPUS))
    kind, rules, acting = expectation(label)
    bad, benign = label.startswith("MALICIOUS") and kind is not None, label.startswith("BENIGN")
    hosts = acting or (busiest_host(path) if path.name.startswith("conn.log") else EVERYBODY if bad else [])
    found, error = findings_of(unpacked(path, work), hosts, work)
    if found is None:
        return name, label, "unreadable", error
    said = sorted({f"{f['rule']}/{f['severity'].removeprefix('SEVERITY_').lower()}@{f.get('commandLine', '?')}" for f in found})
    hit = any(f["rule"] in rules and (not acting or f.get("commandLine") in acting) for f in found)
    problems = [f for f in found if f["severity"] in PROBLEMS]
    verdict = tally.bad(name, kind, hit) if bad else tally.honest(name, problems) if benign else "-"
    if table and (bad or benign):
        verdicts = {d: right_of(d, s, kind, rules, acting) if bad else len(s) for d, s in others_say(kind if bad else None, work).items()}
        verdicts["culprit"] = hit if bad else len(problems)
        table.take(name, kind, benign, verdicts)
    elif verbose or verdict in ("MISSED", "ACCUSED") or said:
        print(f"{verdict:<8}{name[-58:]:<60}{label[:44]:<46}{' '.join(said)[:160]}", flush=True)
    for f in found if verbose else []:
        print(f"          {f['rule']}: {f['reason']}")
    return name, label, verdict, said


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--json")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if not (CORPUS / "INDEX.tsv").exists():
        print(f"no captures under {CORPUS} (CULPRIT_CORPUS)", file=sys.stderr)
        return 77
    tally, table = Tally(), Table() if arguments.table else None
    with tempfile.TemporaryDirectory() as folder:
        rows = [judge(path, label, pathlib.Path(folder), tally, table, arguments.verbose)
                for path, label in captures() if arguments.only in str(path.relative_to(CORPUS))]
    if table:
        table.close()
    tally.close()
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(
            {"rows": rows, "classes": tally.classes, "benign": tally.benign, "table": table and table.as_dict()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
