#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Snapshots that the agent begins by itself: the collector fetches them, and shows what began each.

A double of the EC2 metadata service with AWS's paths and answers (404 where there is nothing) tells of a spot interruption, a rebalance
recommendation, a scheduled event and the end in an Auto Scaling group: each begins one snapshot, once, also over a restart of the agent and with the
collector away. A real systemd-logind on a real dbus-daemon powers the host off: its inhibitor holds the shutdown back until the snapshot is at the
collector, and no longer than InhibitDelayMaxSec. systemd itself is not pid 1 here: a double of its manager (bins/systemd1.c) takes logind's order to start
poweroff.target, and tells the agent that the host stops. Without logind the stop of the unit takes it. Checkpoints of the time before are in the bundle.
All of it in namespaces of its own: nothing of the machine is read, or ended."""
import importlib
import json
import pathlib
import signal
import socket
import time

import harness
import imds
from harness import check, note, run, wait_until
from snapshot_box import private_file, run_in_box

fetch = importlib.import_module("86_snapshot_fetch")
META = "/latest/meta-data/"
INSTANCE = "i-0123456789abcdef0"
BUS_SOCKET, PRIVATE_SOCKET = "/run/dbus/system_bus_socket", "/run/systemd/private"
BUS = f"""<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={BUS_SOCKET}</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"""
NOTICES = {
    "spot/instance-action": (b'{"action": "terminate", "time": "2026-05-01T08:22:00Z"}', "spot interruption: terminate at 2026-05-01T08:22:00Z"),
    "events/recommendations/rebalance": (b'{"noticeTime": "2026-05-01T08:20:00Z"}', "rebalance recommendation of 2026-05-01T08:20:00Z"),
    "events/maintenance/scheduled": (json.dumps([{
        "NotBefore": "21 Jan 2027 09:00:43 GMT", "Code": "system-reboot", "Description": "scheduled reboot",
        "EventId": "instance-event-0d59937288b749b32", "NotAfter": "21 Jan 2027 09:17:23 GMT", "State": "active"}]).encode(),
        "scheduled event: system-reboot not before 21 Jan 2027 09:00:43 GMT"),
    "autoscaling/target-lifecycle-state": (b"Terminated", "Auto Scaling: the lifecycle state becomes Terminated"),
}


class TriggerRig(fetch.SnapshotRig):
    """One whose agent asks the double who it is."""
    endpoint = "http://127.0.0.1:1"
    snapshot_extra = ""

    def write_agent_config(self):
        path = super().write_agent_config()
        text = path.read_text().replace('[identity]\nsource = "machine"', f'[identity]\nsource = "imds"\nendpoint = "{self.endpoint}"')
        path.write_text(text.replace("[snapshot]\n", f'[snapshot]\nnotices = "100ms"\ncheckpoint = "1s"\n{self.snapshot_extra}'))
        return path

    def begun(self, trigger, seconds=60):
        """The snapshot that this began, once it is whole and verified at the collector."""
        def whole():
            rows = [row for row in self.records() if row["trigger"] == trigger]
            return rows if rows and all(row["state"] == "complete" for row in rows) else None
        rows = wait_until(f"a snapshot for '{trigger}'", whole, seconds)
        check(len(rows) == 1, f"'{trigger}' began {len(rows)}")
        return rows[0]

    def counter(self, name):
        return int(self.agent_status()["counters"][name])


def asked_again(rig):
    """Everything that the metadata service can tell was asked for since."""
    before = rig.counter("questions about notices of the cloud")
    wait_until("another round of questions", lambda: rig.counter("questions about notices of the cloud") > before + 20, 30)


def check_bundle(rig, record, trigger):
    bundle = rig.dir / f"{record['id']}.tar.zst"
    rig.snapshot("save", record["id"], "--out", bundle)
    verdict = json.loads(run(harness.BIN / "culprit", "verify", bundle, "--key", record["key_fingerprint"], "--json").stdout)
    check(verdict["good"] and verdict["trusted"] and verdict["snapshot"] == record["id"] and verdict["trigger"] == trigger, f"{verdict}")
    check(record["whole_tiers"] == [0, 1] and record["last_tier"] == 1 and record["offered"], f"{record}")
    shown = json.loads(rig.snapshot("show", record["id"], "--json").stdout)["snapshot"]
    check(shown["custody"][0]["action"] == "offered" and shown["custody"][0]["note"] == trigger, f"{shown['custody']}")


def check_notices(rig, double):
    asked_again(rig)
    check(not rig.records(), f"404 is a notice: {rig.records()}")
    for path, (answer, trigger) in NOTICES.items():
        double.answers[META + path] = answer
        record = rig.begun(trigger)
        check(record["host"] == INSTANCE or record["host"] == "web-1", f"{record}")
        check_bundle(rig, record, trigger)
        note(f"{trigger}: {int(record['stored_bytes']) >> 10} KiB, verified")
    asked_again(rig)
    check(len(rig.records()) == len(NOTICES), f"a notice began more than one: {rig.records()}")
    rig.agent.stop(20)
    rig.start_agent(wait=False)
    rig.await_agent()
    wait_until("the metadata service asked", lambda: rig.counter("questions about notices of the cloud") > 0, 20)
    asked_again(rig)
    check(len(rig.records()) == len(NOTICES), f"a restart began another: {rig.records()}")
    check(not list(rig.spool.glob("*.bundle")), "the agent keeps what the collector has")
    note("each once, also after a restart of the agent")


def check_collector_away(rig, double):
    """Taken while nobody listens; fetched once somebody does, and under its name."""
    rig.collector.stop()
    double.answers[META + "spot/instance-action"] = b'{"action": "hibernate", "time": "2026-06-01T00:00:00Z"}'
    wait_until("the bundle in the agent's spool", lambda: list(rig.spool.glob("*.end")), 30)
    rig.start_collector()
    record = rig.begun("spot interruption: hibernate at 2026-06-01T00:00:00Z")
    check_bundle(rig, record, record["trigger"])
    note("with the collector away: taken, and fetched when it is back")


def check_checkpoints(rig, double):
    """What went before the snapshot is in it: a listener that is gone by then, and its process."""
    listener = rig.spawn("/usr/bin/python3", "-c", "import socket, time; s = socket.create_server(('127.0.0.1', 4711)); time.sleep(600)", log="listener.log")
    gone = rig.cleanups[-1]

    def kept():
        files = sorted((rig.dir / "agent/checkpoints").glob("*.jsonl"))
        return [line for file in files for line in file.read_text().splitlines() if '"local_port":4711' in line and '"pid":' in line]
    seen = wait_until("the listener in a checkpoint", kept, 20)
    gone()
    wait_until("its end in a checkpoint", lambda: any(line.startswith('{"-":') for line in kept()), 20)
    double.answers[META + "spot/instance-action"] = b'{"action": "stop", "time": "2026-07-01T00:00:00Z"}'
    record = rig.begun("spot interruption: stop at 2026-07-01T00:00:00Z")
    members = [json.loads(line)["name"] for line in rig.snapshot("ls", record["id"], "--json").stdout.splitlines()]
    names = [name for name in members if name.startswith("checkpoints/")]
    check(names, f"no checkpoint in {members}")
    rows = [json.loads(line) for name in names for line in rig.snapshot("cat", record["id"], name).stdout.splitlines()]
    came = [row["+"] for row in rows if "+" in row and row["+"].get("local_port") == 4711]
    check(came and came[-1]["pid"] == listener.pid, f"the owner of {seen} is not {listener.pid}: {came}")
    # The agent counts processes from outside of this box: other numbers.
    check(any("python3" in row["+"].get("exe", "") and len(row["+"].get("sha256", "")) == 64 for row in rows if "process" in row.get("+", {})),
          "the listener's program and its hash are in no checkpoint")
    check(any("module" in row or "bpf_program" in row for row in rows), "no module and no BPF program in a checkpoint")
    check(not any('"local_port":4711' in line for line in rig.snapshot("cat", record["id"], "live/sockets.jsonl").stdout.splitlines()), "it was not gone")
    note(f"a listener that was gone before the snapshot is in its checkpoints, with its process and hash ({len(rows)} rows)")


class Host:
    """dbus-daemon, the double of systemd's manager, and a real logind."""

    def __init__(self, rig):
        self.rig = rig
        for folder in (pathlib.Path(BUS_SOCKET).parent, pathlib.Path(PRIVATE_SOCKET).parent):
            folder.mkdir(exist_ok=True)
        private_file("/etc/systemd/logind.conf", "[Login]\nInhibitDelayMaxSec=30\n")
        config = private_file(rig.dir / "bus.conf", BUS)
        self.bus = rig.spawn("dbus-daemon", "--nofork", f"--config-file={config}", log="bus.log")
        wait_until("the bus", pathlib.Path(BUS_SOCKET).exists, 10)
        self.log = rig.dir / "systemd1.log"
        self.systemd = rig.spawn("/mnt/rig/systemd1", BUS_SOCKET, PRIVATE_SOCKET, log=self.log.name)
        wait_until("systemd's double", lambda: "ready" in self.log.read_text(), 10)
        self.logind = rig.spawn("/lib/systemd/systemd-logind", log="logind.log")
        wait_until("logind", lambda: self.call("get-property", "InhibitDelayMaxUSec").startswith("t 30000000"), 20)

    @staticmethod
    def call(verb, *arguments):
        place = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
        return run("busctl", "--no-pager", verb, *place, *arguments).stdout

    def inhibitors(self):
        return "culprit-agent" in self.call("call", "ListInhibitors")

    def started(self):
        return "start poweroff.target" in self.log.read_text()


def check_logind(rig):
    host = Host(rig)
    rig.agent.stop(20)
    rig.start_agent(wait=False)
    rig.await_agent()
    wait_until("the inhibitor", host.inhibitors, 20)
    rig.link.flowing.clear()  # the collector hears nothing yet: the shutdown must wait
    host.call("call", "PowerOff", "b", "false")
    wait_until("the bundle in the agent's spool", lambda: list(rig.spool.glob("*.end")), 25)
    check(not host.started(), "the shutdown did not wait until the snapshot was at the collector")
    rig.link.flowing.set()
    wait_until("the shutdown goes on", host.started, 25)
    trigger = "the host goes down (logind)"
    record = rig.begun(trigger, 5)
    check_bundle(rig, record, trigger)
    check(not host.inhibitors(), "the inhibitor is still held")
    count = len(rig.records())
    rig.agent.stop(30)
    check(len(rig.records()) == count, f"the stop began another: {rig.records()[0]}")
    beats = [p for p in (rig.dir / "agent.log").read_text().splitlines() if "held back for at most 30000 ms" in p]
    check(beats, "the log does not say how long")
    note("logind: the shutdown waited for the snapshot, stored and verified, and not longer; the stop after it began no second one")
    return host


def check_deadline(rig, host):
    """A collector that takes nothing holds no shutdown back for longer than logind allows."""
    host.logind.stop(5)
    private_file("/etc/systemd/logind.conf", "[Login]\nInhibitDelayMaxSec=3\n")
    host.log.write_text("")
    host.logind = rig.spawn("/lib/systemd/systemd-logind", log="logind2.log")
    wait_until("logind again", lambda: host.call("get-property", "InhibitDelayMaxUSec").startswith("t 3000000"), 20)
    rig.start_agent(wait=False)
    rig.await_agent()
    wait_until("the inhibitor", host.inhibitors, 20)
    rig.link.flowing.clear()
    host.call("call", "PowerOff", "b", "false")
    wait_until("the shutdown goes on", host.started, 20)
    check("the time is over" in (rig.dir / "agent.log").read_text(), "it was logind that lost patience, not the agent that let go")
    rig.link.flowing.set()
    wait_until("the rest, while the host still runs", lambda: sum(row["trigger"].startswith("the host goes down") for row in rig.records()) == 2, 30)
    note("a collector that takes nothing: the shutdown goes on in time, and the bundle comes later")
    rig.agent.stop(90)


def check_unit_stop(rig, host):
    """No logind: the stop of the unit, while systemd says that the host goes down."""
    host.logind.stop(5)
    rig.start_agent(wait=False)
    rig.await_agent()

    def noted():
        hooks = [hook for hook in rig.agent_status()["fidelity"]["hooks"] if hook["name"] == "shutdown inhibitor"]
        return hooks and not hooks[0]["active"] and "logind" in hooks[0]["note"]
    wait_until("a note that no logind answers", noted, 20)
    host.systemd.process.send_signal(signal.SIGUSR1)
    rig.agent.stop(90)
    trigger = "the agent stops: the host goes down"
    record = rig.begun(trigger, 5)
    check_bundle(rig, record, trigger)
    count = len(rig.records())
    host.systemd.stop(5)
    pathlib.Path(PRIVATE_SOCKET).unlink()
    rig.start_agent(wait=False)
    rig.await_agent()
    rig.agent.stop(30)
    check(len(rig.records()) == count, "a stop of the agent alone began one")
    rig.snapshot_extra = "on_stop = true\n"
    rig.start_agent(wait=False)
    rig.await_agent()
    rig.agent.stop(90)
    check_bundle(rig, rig.begun("the agent stops", 5), "the agent stops")
    note("the unit is stopped with the host, or with on_stop: the snapshot is at the collector before the agent ends; else it begins none")


def scene():
    socket.sethostname("web-1")
    with imds.Imds() as double, TriggerRig("snapshot-triggers") as rig:
        double.serve(imds.document(INSTANCE), b"")
        double.answers[META + "instance-life-cycle"] = b"spot"
        rig.endpoint = double.endpoint
        rig.start_collector()
        rig.start_agent()
        rig.await_agent()
        began = time.monotonic()
        check_notices(rig, double)
        check_collector_away(rig, double)
        check_checkpoints(rig, double)
        host = check_logind(rig)
        check_deadline(rig, host)
        check_unit_stop(rig, host)
        note(f"PASSED in {time.monotonic() - began:.0f} s")


def build_manager(share):
    run("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", f"{share}/systemd1", harness.HERE / "bins/systemd1.c", "-lsystemd")


if __name__ == "__main__":
    run_in_box("e2e-triggers", scene, build_manager)
