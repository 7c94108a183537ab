#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`culprit teardown`: "safe to terminate" only once the snapshot is whole and verified at the collector, the evidence is there up to the agent's last
sequence, and somebody has said what becomes of the disk; it warns where an Auto Scaling group would start the same image again. --then runs after that alone. In every other case (no word on the disk, a bundle that was edited,
tiers missing, a stalled link, evidence that still waits on the host, a full disk at the collector, a silent agent, a gap in the sequence) it ends with 1, says
what is missing, and runs nothing. In namespaces of its own."""
import hashlib
import html
import importlib
import json
import os
import pathlib
import shutil
import subprocess

import harness
import imds
from harness import check, note, run, wait_until
from snapshot_box import run_in_box

fetch = importlib.import_module("86_snapshot_fetch")
triggers = importlib.import_module("87_snapshot_triggers")
DISK = "snap-0123456789abcdef0"
BACKLOG = 40  # frames


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


def lane(rig):
    return rig.agent_status()["spool"]["lanes"]["evidence"]


def restart_collector(rig):
    rig.collector.stop()
    rig.start_collector()
    rig.await_agent()


def check_unsent(rig):
    """A backlog that the collector takes slowly: the snapshot goes first, and is whole before the evidence that was written before it."""
    rig.collector.stop()
    newest = lane(rig)["newest_seq"]
    wait_until("a backlog", lambda: run("/bin/true") and lane(rig)["newest_seq"] >= newest + BACKLOG, 90, 0.02)
    rig.collector_extra += '[ingest]\nmax_rate = "4 KiB"\nmax_inflight_frames = 1\n'  # a frame a second
    rig.start_collector()
    rig.await_agent()
    taken = json.loads(rig.snapshot("take", "--wait", "--json").stdout)
    check(taken["state"] == "complete", f"{taken}")
    answer, bad = refused(rig, {"evidence"}, ["frames of evidence", "still on the host"], "--disk-not-preserved", "--snapshot", taken["id"], "--deadline", "1s")
    check(bad.keys() == {"evidence"}, f"more is missing: {answer['checks']}")
    rig.set_collector()
    restart_collector(rig)
    answer, _ = teardown(rig, "--disk-not-preserved", "--snapshot", taken["id"])
    check(answer["safe"], f"the evidence has come, and still: {answer['checks']}")


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


def check_gap(rig):
    """The collector is put back to how it was: what the agent has dropped since, because it was acknowledged, is nowhere any more."""
    data, backup = rig.dir / "collector", rig.dir / "backup"
    run("umount", "-l", data / "snapshots")
    rig.start_agent(wait=False)
    rig.await_agent()
    rig.collector.stop()
    shutil.copytree(data, backup)
    rig.start_collector()
    rig.await_agent()
    had = lane(rig)["acked_seq"]
    wait_until("evidence acknowledged and dropped", lambda: [run("/bin/true", os.urandom(100).hex()) for _ in range(100)] and lane(rig)["oldest_seq"] > had + 1,
               120, 0)
    rig.collector.stop()
    shutil.rmtree(data)
    backup.rename(data)
    rig.start_collector()
    rig.await_agent()
    wait_until("the gap in the index", lambda: rig.host()["gaps"] > 0, 30)
    answer, bad = refused(rig, {"sequence"}, ["1 gaps"], "--disk-not-preserved")
    check(bad.keys() == {"sequence"} and "--accept-gaps" in bad["sequence"]["remedy"], f"{answer['checks']}")
    answer, _ = teardown(rig, "--disk-not-preserved", "--accept-gaps", "the collector was put back")
    check(answer["safe"] and any("accepted: the collector was put back" in c["text"] for c in answer["checks"]), f"{answer['checks']}")
    note("a gap: refused, and taken once somebody answers for it")


GROUP = {"tags/instance/": b"Name\naws:autoscaling:groupName", "tags/instance/aws:autoscaling:groupName": b"web fleet"}
SCALING = (
    ("nothing told", {}, True, "did not tell", f"--instance-ids {triggers.INSTANCE}"),
    ("no tags", {"ami-id": b"ami-0123456789abcdef0"}, True, "would start ami-0123456789abcdef0 again", "describe-auto-scaling-instances"),
    ("a state", {"autoscaling/target-lifecycle-state": b"InService"}, True, "starts ami-0123456789abcdef0 again", "names it"),
    ("a group", GROUP, True, "group web fleet starts ami-0123456789abcdef0 again", "suspend-processes --auto-scaling-group-name 'web fleet'"),
    ("other tags alone", {"tags/instance/": b"Name", "autoscaling/target-lifecycle-state": None, "tags/instance/aws:autoscaling:groupName": None},
     False, "in no Auto Scaling group", ""),
)


def check_scaling():
    """What the metadata service says of a group that would start the same image again is in the snapshot, the warning and the report."""
    with imds.Imds() as double, triggers.TriggerRig("teardown-scaling") as rig:
        double.serve(imds.document(triggers.INSTANCE), b"")
        rig.endpoint = double.endpoint
        rig.start_collector()
        rig.start_agent()
        rig.await_agent()
        wait_until("who it is", lambda: rig.host()["instance_id"] == triggers.INSTANCE, 20)
        document = double.answers.copy()
        for what, answers, warned, text, remedy in SCALING:
            double.answers.update({triggers.META + path: answer for path, answer in answers.items()})
            if not answers:
                double.answers.clear()
            answer, _ = teardown(rig, "--disk-not-preserved")
            scaling = next(c for c in answer["checks"] if c["name"] == "scaling")
            check(answer["safe"] and scaling["warning"] == warned and text in scaling["text"] and remedy in scaling["remedy"], f"{what}: {answer['checks']}")
            page = html.unescape((rig.dir / "report.html").read_text())
            check(scaling["text"] in page and scaling["remedy"] in page, f"{what}: not in the report")
            kept = json.loads(rig.snapshot("cat", answer["snapshot"]["id"], "live/cloud.json").stdout)
            check(all(kept["answers"].get(f"meta-data/{path}") == value.decode() for path, value in answers.items() if value), f"{what}: {kept}")
            double.answers.update(document)
            note(f"Auto Scaling, {what}: {scaling['text']}")


def scene():
    with fetch.SnapshotRig("teardown") as rig:
        rig.agent_extra += "[spool]\nsegment_bytes = 65536\n"
        rig.start_collector()
        rig.start_agent()
        rig.await_agent()
        wait_until("the host in the index", lambda: 0 < rig.status()["journal_lsn"] == rig.status()["index_lsn"], 20)
        check_safe(rig)
        check_unsent(rig)
        for number in range(fetch.NOISE):
            pathlib.Path(f"/tmp/noise-{number}").write_bytes(os.urandom(4 << 20))
        check_not_whole(rig)
        check_stalled(rig)
        check_full(rig)
        check_silent(rig)
        check_gap(rig)
    check_scaling()
    note("PASSED")


if __name__ == "__main__":
    run_in_box("e2e-teardown", scene)
