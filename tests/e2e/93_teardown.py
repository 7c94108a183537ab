#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`culprit teardown`: "safe to terminate" only once the snapshot is whole and verified at the collector, the evidence is there up to the agent's last
sequence, and somebody has said what becomes of the disk; --then runs after that alone. In every other case (no word on the disk, a bundle that was edited,
tiers missing, a stalled link, a full disk at the collector, a silent agent) it ends with 1, says what is missing, and runs nothing. In namespaces of its own."""
import hashlib
import importlib
import json
import os
import pathlib
import subprocess

import harness
from harness import check, note, run, wait_until
from snapshot_box import run_in_box

fetch = importlib.import_module("86_snapshot_fetch")
DISK = "snap-0123456789abcdef0"


def teardown(rig, *arguments):
    """(exit status, answer, whether --then ran)."""
    then = rig.dir / "terminated"
    then.unlink(missing_ok=True)
    command = [harness.BIN / "culprit", "teardown", rig.host()["agent_id"], "--report", rig.dir / "report.html", "--then",
               f'echo "$CULPRIT_SNAPSHOT $CULPRIT_REPORT" > {then}', "--json", "--collector", f"127.0.0.1:{rig.port}", "--credentials", rig.pki, *arguments]
    done = run(*command, stderr=subprocess.PIPE, check=False)
    check(done.stdout.startswith("{"), f"exit {done.returncode}: {done.stderr}")
    answer = json.loads(done.stdout)
    check(answer["safe"] == (done.returncode == 0) == then.exists(), f"safe, its exit and --then differ: {done.returncode} {answer} {then.exists()}")
    return answer, then.read_text().split() if then.exists() else []


def refused(rig, missing, words, *arguments):
    answer, _ = teardown(rig, *arguments)
    bad = {c["name"]: c for c in answer["checks"] if not c["good"]}
    check(not answer["safe"] and missing <= bad.keys(), f"missing {sorted(bad)}, not {sorted(missing)}: {answer['checks']}")
    text = " ".join(c["text"] for c in bad.values())
    check(all(word in text for word in words), f"no {words} in {text!r}")
    check(all(c["remedy"] for c in bad.values()), f"no remedy: {bad}")
    note(f"refused: {text[:150]}")
    return answer, bad


def check_safe(rig):
    _, bad = refused(rig, {"disk"}, ["nobody said"])
    check(bad.keys() == {"disk"}, f"more is missing than the word on the disk: {bad}")
    answer, then = teardown(rig, "--disk-snapshot", DISK)
    check(answer["safe"], f"{answer['checks']}")
    snapshot = answer["snapshot"]
    check(snapshot["state"] == "complete" and then == [snapshot["id"], str(rig.dir / "report.html")], f"{snapshot} {then}")
    texts = {c["name"]: c["text"] for c in answer["checks"]}
    check(DISK in texts["disk"] and snapshot["sha256"] in texts["snapshot"] and "all that the agent had written" in texts["evidence"], f"{texts}")
    page = (rig.dir / "report.html").read_text()
    check(snapshot["sha256"] in page and snapshot["key_fingerprint"] in page, "the report does not name the snapshot that was taken")
    again, _ = teardown(rig, "--disk-not-preserved", "--snapshot", snapshot["id"])
    check(again["safe"] and again["snapshot"]["id"] == snapshot["id"], f"{again}")
    note("safe to terminate: snapshot verified, evidence complete, report written, --then ran")


def check_not_whole(rig):
    tier0 = json.loads(rig.snapshot("take", "--wait", "--json", "--tier", "0").stdout)
    refused(rig, {"snapshot"}, ["tiers 0 to 0 alone"], "--disk-not-preserved", "--snapshot", tier0["id"])
    rig.link.flowing.clear()
    snapshot_id = rig.begin("--tier", "2")
    bundle, end = rig.spool / f"{snapshot_id}.bundle", rig.spool / f"{snapshot_id}.end"
    wait_until("the bundle in the agent's spool", end.exists, 30)
    forged = fetch.repack(bundle, fetch.edited)
    bundle.write_bytes(forged)
    end.write_text(json.dumps(json.loads(end.read_text()) | {"bytes": len(forged), "sha256": hashlib.sha256(forged).hexdigest()}))
    rig.link.cut()
    rig.link.flowing.set()
    rig.final(snapshot_id)
    refused(rig, {"snapshot"}, ["not whole", "edited"], "--disk-not-preserved", "--snapshot", snapshot_id)


def check_stalled(rig):
    rig.link.flowing.clear()
    refused(rig, {"snapshot"}, ["not whole"], "--disk-not-preserved", "--deadline", "3s")
    rig.link.cut()
    rig.link.flowing.set()
    rig.await_agent()
    rig.final(rig.records()[0]["id"])


def check_full(rig):
    place = rig.dir / "collector/snapshots"
    rig.collector.stop()
    run("mount", "-t", "tmpfs", "-o", "size=8M", "none", place)
    rig.cleanups.append(lambda: run("umount", "-l", place))
    rig.start_collector()
    rig.await_agent()
    _, bad = refused(rig, {"snapshot"}, ["disk"], "--disk-not-preserved")
    check("make room" in bad["snapshot"]["remedy"], f"{bad}")


def check_silent(rig):
    rig.agent.stop(20)
    wait_until("the agent away", lambda: rig.status()["agents_connected"] == 0, 20)
    refused(rig, {"agent", "snapshot", "evidence"}, ["silent", "not connected"], "--disk-not-preserved")


def scene():
    for number in range(fetch.NOISE):
        pathlib.Path(f"/tmp/noise-{number}").write_bytes(os.urandom(4 << 20))
    with fetch.SnapshotRig("teardown") as rig:
        rig.start_collector()
        rig.start_agent()
        rig.await_agent()
        wait_until("the host in the index", lambda: 0 < rig.status()["journal_lsn"] == rig.status()["index_lsn"], 20)
        check_safe(rig)
        check_not_whole(rig)
        check_stalled(rig)
        check_full(rig)
        check_silent(rig)
        note("PASSED")


if __name__ == "__main__":
    run_in_box("e2e-teardown", scene)
