#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A day of short lives in fast motion: churn.py [--processes N] [--rate PER_SECOND] [--svg FILE] [--json FILE]

N processes (default 1,000,000) come and go, each with a datagram and a refused connect of its own, while the memory of the
agent's processes (PSS) and of its kernel maps is read every second. Prints what it was at each tenth, writes a plot, and
fails if either still grows: the last third may not be more than a tenth and 2 MB above the middle third. Root.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
from harness import Rig, check, descendants, note, run, wait_until  # noqa: E402

CLOSED, SINK = 7399, 7301
GROWTH, SLACK = 1.1, 2e6


def pss(pid):
    total = 0
    for one in [pid, *descendants(pid)]:
        for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def map_bytes(pid):
    """Kernel memory of the maps that the agent holds open."""
    ids = set()
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = info.read_text()
        except FileNotFoundError:
            continue  # closed meanwhile: a file that is being hashed
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        if "map_id" in fields:
            ids.add(int(fields["map_id"]))
    maps = json.loads(run("bpftool", "-j", "map", "show").stdout)
    return sum(m.get("bytes_memlock", 0) for m in maps if m["id"] in ids)


def thirds(values):
    n = len(values) // 3
    return [sum(part) / len(part) for part in (values[n:2 * n], values[2 * n:])]


def svg(samples, path):
    """Two lines over time, in MB."""
    width, height, left, low = 720, 300, 50, 260
    top = max(max(s["pss"], s["maps"]) for s in samples) * 1.1
    last = max(s["seconds"] for s in samples) or 1

    def line(key, colour):
        points = " ".join(f"{left + (width - left - 10) * s['seconds'] / last:.1f},{low - (low - 20) * s[key] / top:.1f}"
                          for s in samples)
        return f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>'
    marks = "".join(f'<text x="4" y="{low - (low - 20) * k / 4 + 4:.0f}">{top * k / 4e6:.0f} MB</text>' for k in range(5))
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="white"/>{line("pss", "#1f5fa8")}{line("maps", "#b3541e")}{marks}'
        f'<text x="{left}" y="290" fill="#1f5fa8">PSS of the agent</text><text x="220" y="290" fill="#b3541e">kernel maps</text>'
        f'<text x="{width - 150}" y="290">{samples[-1]["processes"]:,} processes, {last:.0f} s</text></svg>\n')


def watch(rig, work, began, total, rate):
    samples = []
    while work.poll() is None:
        seconds = time.monotonic() - began
        samples.append({"seconds": seconds, "pss": pss(rig.agent.pid), "maps": map_bytes(rig.agent.pid),
                        "processes": min(total, int(seconds * rate))})
        check(rig.agent.alive(), "the agent died")
        time.sleep(1)
    return samples


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=2000, help="at most so many a second")
    parser.add_argument("--svg", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args()
    with Rig("churn") as rig:
        program = rig.compile("churn", "-static")
        sink = rig.compile("netload", "-static")
        a, _ = rig.namespaces()
        reader = rig.spawn(*a.command(sink, "sink-udp", "127.0.0.1", SINK, 0, 0), log="sink.log")
        wait_until("sink", lambda: "ready" in reader.log.read_text())
        rig.start_collector()
        rig.start_agent()
        began = time.monotonic()
        work = subprocess.Popen(a.command(program, arguments.processes, arguments.rate, "127.0.0.1", SINK, CLOSED),
                                stdout=subprocess.PIPE, text=True)
        samples = watch(rig, work, began, arguments.processes, arguments.rate)
        result = json.loads(work.communicate()[0])
        for sample in samples:
            sample["processes"] = int(result["processes"] * min(1.0, sample["seconds"] / result["seconds"]))
        note(f"{result['processes']} processes in {result['seconds']:.0f} s, {result['failed']} failed")
        note(f"{'processes':>12}{'PSS MB':>10}{'maps MB':>10}")
        for n in range(0, len(samples), max(1, len(samples) // 10)):
            s = samples[n]
            note(f"{s['processes']:>12}{s['pss'] / 1e6:>10.1f}{s['maps'] / 1e6:>10.1f}")
        if arguments.svg:
            svg(samples, arguments.svg)
        host = wait_until("a last word of the agent", rig.host)
        note(f"events lost by the agent's own count: {host['lost_events']}, degraded: {host['degraded']}")
        if arguments.json:
            arguments.json.write_text(json.dumps({"result": result, "samples": samples, "lost": host["lost_events"]}) + "\n")
        if len(samples) >= 9:
            for key in ("pss", "maps"):
                middle, last = thirds([s[key] for s in samples])
                check(last <= middle * GROWTH + SLACK, f"{key} still grows: {middle / 1e6:.1f} MB, then {last / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
