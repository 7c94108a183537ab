#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Detection, live: real tools between namespaces, each run in a login of its own, with varied rates; and what looks alike and is honest.

  sudo tests/bench/detection_live.py [--runs N] [--only NAME,...] [--night] [--json FILE]

For each class: how many runs were flagged by its rule (with the Wilson interval of 95 %), seconds from the start of the tool to the record that
tripped the rule (median, 95th percentile), what had left the host when the operator could read the finding (median), and whether the finding names the
right program; then the same by rule, over its classes. For each honest class: findings in its runs; then false ones of high severity a day of such work.
Every load is bounded in count or time. Where a tool is not installed its class is left out, and said so."""
import argparse
import contextlib
import datetime
import json
import math
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import Failure, Rig, check, note, wait_until  # noqa: E402
from live_attacks import ATTACKS  # noqa: E402
from live_field import Field, have, start_servers_of_honest_tools  # noqa: E402
from live_honest import HONEST  # noqa: E402


def wilson(hits, runs):
    if runs == 0:
        return 0.0, 1.0
    z, p = 1.96, hits / runs
    middle, spread = p + z * z / (2 * runs), z * math.sqrt(p * (1 - p) / runs + z * z / (4 * runs * runs))
    return (middle - spread) / (1 + z * z / runs), (middle + spread) / (1 + z * z / runs)


# About the evidence itself: what a machine that is too busy makes of the agent is not what is measured here.
INTEGRITY = ("agent-", "hooks-", "evidence-", "spool-", "clock-")


def of_the_host(rig, field, row, known={}):
    """An agent sees its whole machine: the far end of the test, other runs and the rest are not what is judged."""
    if row["id"] not in known:
        where = {flow["netns"] for flow in rig.query("flows", "--process", row["process_id"], "--limit", 50)}
        if not where:  # counters alone, or not stored yet
            above = row.get("ancestry", [])
            return not above or any(line.startswith(f"{os.getpid()} ") for line in above)
        known[row["id"]] = os.stat(f"/run/netns/{field.inside.name}").st_ino in where
    return known[row["id"]]


def findings(rig, field, rule=None):
    rows = rig.query("findings", *(("--rule", rule) if rule else ()), "--limit", 1000)
    return [row for row in rows if not row["rule"].startswith(INTEGRITY) and of_the_host(rig, field, row)]


def seconds_of(text):
    """Of an RFC 3339 time, to the microsecond."""
    return datetime.datetime.fromisoformat(text.rstrip("Z").ljust(20, ".").ljust(26, "0")[:26]).replace(tzinfo=datetime.timezone.utc).timestamp()


def attack(rig, field, name):
    rule, _, program, start, limit = ATTACKS[name]
    before = {row["id"] for row in findings(rig, field)}
    fresh = lambda: [row for row in findings(rig, field, rule) if row["id"] not in before]
    began, sent = time.time(), field.inside.counters()[0]
    with contextlib.ExitStack() as stack:
        try:
            stack.callback(start(field).stop, 5)
            wait_until(rule, fresh, limit)
            sent = field.inside.counters()[0] - sent
        except (Failure, AssertionError) as error:
            note(f"{name}: {str(error).strip()[:300]}")
    rows = fresh()
    if not rows:
        return {"flagged": False}
    row = rows[-1]
    right = os.path.basename(row["exe"]).startswith(program) or program in row["command_line"]
    if not right:
        note(f"{name}: {row['rule']} names {row['exe']}: {row['command_line']}")
    return {"flagged": True, "seconds": seconds_of(row["trigger_time"]) - began, "bytes": sent, "right": right}


def attack_again(rig, field, name):
    """What a stall of the machine hid is tried once more, which is told."""
    result = attack(rig, field, name)
    if result["flagged"] and result["right"]:
        return result
    note(f"{name}: once more")
    return attack(rig, field, name)


def honest(rig, field, name):
    """(rule, severity) of what came of it."""
    before, began = {row["id"] for row in findings(rig, field)}, time.monotonic()
    HONEST[name][1](field)
    time.sleep(3)  # a finding that comes late counts
    fresh = [row for row in findings(rig, field) if row["id"] not in before]
    for row in fresh:
        note(f"{name}: {row['rule']}: {row['exe']}: {row['reason']}")
    return {"found": [(row["rule"], row["severity"]) for row in fresh], "seconds": time.monotonic() - began}


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] if values else float("nan")


def chosen(classes, only, exclude):
    for name in classes:
        if (not only or any(part in name for part in only)) and not any(part in name for part in exclude):
            yield name


def print_row(name, results):
    hits = [r for r in results if r["flagged"]]
    low, high = wilson(len(hits), len(results))
    times, sent = [r["seconds"] for r in hits], quantile([r["bytes"] for r in hits], .5)
    share = f"{len(hits)}/{len(results)}"
    print(f"{name:<28}{share:>9}{f'{low:.2f}-{high:.2f}':>16}{quantile(times, .5):>6.1f}s{quantile(times, .95):>6.1f}s{sent / 1e6:>9.2f} MB"
          f"  {sum(r['right'] for r in hits)}/{len(hits)}", flush=True)


def run_attacks(rig, field, runs, names, play):
    print(f"{'CLASS':<28}{'FLAGGED':>9}{'95 % INTERVAL':>16}{'p50':>7}{'p95':>7}{'SENT, p50':>12}  RIGHT PROGRAM")
    out, by_rule = {}, {}
    for name in names:
        if not have(ATTACKS[name][1]):
            print(f"{name:<28}  left out: {ATTACKS[name][1]} is not installed")
            continue
        out[name] = [play(rig, field, name) for _ in range(runs)]
        by_rule.setdefault(ATTACKS[name][0], []).extend(out[name])
        print_row(name, out[name])
    for rule, results in by_rule.items():
        print_row(f"all of {rule}", results)
    return out


def run_honest(rig, field, runs, names):
    out = {}
    for name in names:
        if not have(HONEST[name][0]):
            print(f"{name:<28}  left out: {HONEST[name][0]} is not installed")
            continue
        played = [honest(rig, field, name) for _ in range(runs)]
        found = [told for one in played for told in one["found"]]
        out[name] = {"found": found, "seconds": sum(one["seconds"] for one in played)}
        print(f"{name:<28}findings: {', '.join(f'{rule} ({severity})' for rule, severity in found) or 'none'} in {runs} runs", flush=True)
    days = sum(row["seconds"] for row in out.values()) / 86400
    high = sum(severity in ("high", "critical") for row in out.values() for _, severity in row["found"])
    if days:
        print(f"{high} of high severity in {days * 24:.2f} hours of honest work: {high / days:.2f} a day")
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--only", default="", help="classes whose names contain one of these")
    parser.add_argument("--without", default="", help="no classes whose names contain one of these")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--night", action="store_true", help="working hours that are over, so that everything is done outside them")
    parser.add_argument("--honest", action="store_true", help="honest classes alone")
    parser.add_argument("--strict", action="store_true", help="fail unless every run is flagged at the second try at the latest, with the right program, and no honest one is")
    args = parser.parse_args()
    with Rig("live") as rig:
        field = Field(rig)
        rig.live_in(field.inside)
        if args.night:
            begin = (datetime.datetime.now(datetime.timezone.utc).hour + 12) % 22
            rig.collector_extra = f'[detect.hours]\nzone = "Etc/UTC"\nbegin_hour = {begin}\nend_hour = {begin + 1}\nweekend = true\n'
        rig.start_collector()
        start_servers_of_honest_tools(field)
        rig.agent_extra = f'[logins]\nfiles = ["{field.host.log}"]\n[packets]\nenabled = true\n'
        rig.start_agent()
        field.host.start()
        only, without = ([part for part in text.split(",") if part] for text in (args.only, args.without))
        play = attack_again if args.strict else attack
        out = {"attacks": run_attacks(rig, field, args.runs, [] if args.honest else chosen(ATTACKS, only, without), play),
               "honest": run_honest(rig, field, args.runs, chosen(HONEST, only, without))}
        if args.json:
            args.json.write_text(json.dumps(out, indent=1))
        if args.strict:
            missed = [name for name, rows in out["attacks"].items() if not all(r["flagged"] and r["right"] for r in rows)]
            accused = [name for name, row in out["honest"].items() if row["found"]]
            check(not missed and not accused, f"missed: {missed}; accused: {accused}")
        note("PASSED")


if __name__ == "__main__":
    main()
