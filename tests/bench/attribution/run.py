#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who did it, and how many bytes: every scenario against its own ground truth, as one table.

    run.py [--trials N] [--quick] [--scenario NAME]... [--json FILE] [--tool NAME]... [--list]

A scenario passes if in each trial every row is charged to the right process (executable, pid, command line, user) and
payload and wire bytes are within 1 per cent. What this machine cannot run is listed apart and is no failure.
Exit: 0 all that ran passed; 1 something failed; 77 could not run (not root)."""
import argparse
import json
import pathlib
import signal
import sys
import time

from bench import Bench, Cost, Failure, NotHere, Rig, Verdict, note, worst

import network
import owner
import public
import tools

ALL = public.SCENARIOS + network.SCENARIOS + owner.SCENARIOS


def run_trial(bench, function):
    try:
        return function(bench)
    except (Failure, OSError, KeyError, IndexError, ValueError) as error:
        return Verdict(notes=[f"{type(error).__name__}: {error}"])


def run_scenario(bench, function, trials, again):
    """`again`: what fails is tried once more, and its first notes are printed."""
    verdicts = []
    for _ in range(trials):
        verdict = run_trial(bench, function)
        if again and not verdict.passed:
            note(f"    once more, after: {'; '.join(verdict.notes)[:600]}")
            verdict = run_trial(bench, function)
        verdicts.append(verdict)
    return {
        "trials": len(verdicts), "passed": sum(v.passed for v in verdicts),
        "process_right": sum(v.process for v in verdicts), "bytes_right": sum(v.bytes_right for v in verdicts),
        "payload_ratio": worst([v.payload for v in verdicts]), "wire_ratio": worst([v.wire for v in verdicts]),
        "packet_ratio": worst([v.packets for v in verdicts]), "timewait_segments_allowed": verdicts[0].allowed,
        "notes": [v.notes for v in verdicts], "info": verdicts[0].info, "tools": {},
    }


def cell(value):
    return f"{value:.4f}" if value is not None else "-"


def verdict_of(row):
    if "not_here" in row:
        return "not here"
    return "pass" if row["passed"] == row["trials"] else "FAIL"


def print_row(name, title, row, seconds):
    if "not_here" in row:
        note(f"{name:<5}{title:<41}{'-':>8}{'-':>9}{'-':>9}{'-':>9}  not here: {row['not_here']}")
        return
    process = f"{row['process_right']}/{row['trials']}"
    note(f"{name:<5}{title:<41}{process:>8}{cell(row['payload_ratio']):>9}{cell(row['wire_ratio']):>9}"
         f"{cell(row['packet_ratio']):>9}  {verdict_of(row)} {seconds:5.1f} s")
    for line in row["info"]:
        note(f"        {line[:300]}")
    for trial, lines in enumerate(row["notes"] if verdict_of(row) == "FAIL" else []):
        for line in lines[:6]:
            note(f"        trial {trial + 1}: {line[:300]}")


def print_tools(results, adapters):
    """Processes that each tool named, of those that there were, and its bytes over the truth."""
    note(f"\n{'':<46}" + "".join(f"{a.name:>22}" for a in adapters))
    for name, row in results.items():
        cells = [row["tools"].get(a.name, {}) for a in adapters]
        note(f"{name:<5}{row['title']:<41}" + "".join(f"{c.get('found', '-'):>11}{cell(c.get('bytes_ratio')):>11}" for c in cells))
    for adapter in adapters:
        if adapter.refusal:
            note(f"{adapter.name}: {adapter.refusal}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one trial each, small sizes, what fails once more: what CI runs")
    parser.add_argument("--scenario", action="append", default=[], metavar="NAME")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--tool", action="append", default=[], choices=sorted(tools.ADAPTERS), metavar="NAME",
                        help=f"another tool beside ours: {', '.join(sorted(tools.ADAPTERS))}")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def chosen(names):
    unknown = set(names) - {name for name, _, _ in ALL}
    if unknown:
        sys.exit(f"run.py: no scenario {', '.join(sorted(unknown))}; --list names them")
    return [s for s in ALL if not names or s[0] in names]


def run_all(bench, scenarios, arguments, adapters):
    results = {}
    note(f"{'':<46}{'process':>8}{'payload':>9}{'wire':>9}{'packets':>9}")
    for name, title, function in scenarios:
        began = time.monotonic()
        try:
            row = run_scenario(bench, function, arguments.trials, arguments.quick)
            for adapter in adapters:
                row["tools"][adapter.name] = tools.watch(bench, adapter, function)
        except NotHere as reason:
            row = {"not_here": str(reason), "tools": {}}
        results[name] = {"title": title, **row}
        print_row(name, title, row, time.monotonic() - began)
    return results


def report(results, cost, arguments, adapters):
    here = {n: r for n, r in results.items() if "not_here" not in r}
    failed = [n for n, r in here.items() if verdict_of(r) == "FAIL"]
    right = sum(r["process_right"] == r["trials"] for r in here.values())
    exact = sum(r["bytes_right"] == r["trials"] for r in here.values())
    if adapters:
        print_tools(results, adapters)
    note(f"\nprocess right in {right}, bytes right in {exact} of {len(here)} scenarios; {len(results) - len(here)} not here")
    note(f"agent: CPU mean {cost['cpu_mean_percent']:.1f} %, p95 {cost['cpu_p95_percent']:.1f} % of a core; "
         f"PSS at most {cost['pss_max_bytes'] / 1e6:.1f} MB ({cost['samples']} samples)")
    if failed:
        note(f"failed: {', '.join(failed)}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"trials": arguments.trials, "quick": arguments.quick, "agent": cost,
                                              "scenarios": results}, indent=2) + "\n")
    return 1 if failed else 0


def main():
    arguments = parse()
    if arguments.list:
        for name, title, _ in ALL:
            print(f"{name:<5}{title}")
        return 0
    scenarios = chosen(arguments.scenario)
    if arguments.quick:
        arguments.trials = 1
    adapters = [tools.ADAPTERS[name]() for name in arguments.tool]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ended from outside: what was started still ends
    with Rig("attribution-bench") as rig:
        bench = Bench(rig, arguments.quick)
        bench.compile()
        bench.start_network()
        for name, _, _ in scenarios:
            if name in owner.BEFORE_AGENT:
                owner.BEFORE_AGENT[name](bench, arguments.trials)
        rig.start_collector()
        rig.start_agent()
        rig.settle(bench.a)
        cost = Cost(bench)
        cost.start()
        results = run_all(bench, scenarios, arguments, adapters)
        status = report(results, cost.summary(), arguments, adapters)
    return status


if __name__ == "__main__":
    sys.exit(main())
