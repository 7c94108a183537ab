#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What root on a host can do to its agent, done for real, and what the collector then says: kill -9, SIGSTOP, links detached with bpftool,
configuration edited, program replaced, spool deleted, packets to the collector dropped by nftables, a second agent with the stolen key.
The bounds of silence are made short (collector.toml), heartbeats quick (agent.toml); everything else is as shipped."""
import os
import pathlib
import re
import shutil
import signal
import time

import harness
from harness import Rig, check, note, run, wait_until

WARNING, SILENCE, PAUSE = 4, 9, 8  # seconds
LIMITS = f"""[detect.integrity]
silence_warning_seconds = {WARNING}
silence_seconds = {SILENCE}
pause_seconds = {PAUSE}
"""
PROGRAMS = ("culprit-agent", "culprit-agent-sender", "culprit-agent-parser")


class TamperRig(Rig):
    """An agent with quick heartbeats, whose programs may be replaced."""

    def write_agent_config(self):
        path = super().write_agent_config()
        path.write_text('heartbeat = "500ms"\n' + path.read_text() + "[spool]\nsegment_bytes = 65536\n")
        return path

    def own_programs(self):
        """Links to the programs under test, so that a test may put another file in the place of one."""
        (self.dir / "bin").mkdir()
        for name in os.listdir(harness.BIN):
            if name in PROGRAMS:
                shutil.copy2(harness.BIN / name, self.dir / "bin" / name)
            elif name.startswith("culprit"):
                (self.dir / "bin" / name).symlink_to(harness.BIN / name)
        harness.BIN = self.dir / "bin"

    def told(self, rule):
        """How often each finding of the rule was told, by its id."""
        return {f["id"]: next(int(m["value"]) for m in f["measures"] if m["name"] == "told") for f in self.query("findings", "--rule", rule)}

    def expect(self, rule, severity, act, says, bound=10.0):
        """Does `act`; a finding of the rule must be told within the bound, with that severity and those words in its reason."""
        before, began = self.told(rule), time.monotonic()
        act()

        def found():
            for finding in self.query("findings", "--rule", rule):
                told = next(int(m["value"]) for m in finding["measures"] if m["name"] == "told")
                if told > before.get(finding["id"], 0) and says in finding["reason"] and finding["severity"] == severity:
                    return finding
            return None
        finding = wait_until(f"{rule}, {severity}: \"{says}\" (there is: {[(f['rule'], f['severity'], f['reason']) for f in self.query('findings')]})",
                             found, bound)
        check(finding["attack_ids"], f"no ATT&CK id: {finding}")
        note(f"{time.monotonic() - began:5.1f} s  {rule:18} {severity:9} {finding['reason']}")
        return finding

    def beats(self, n=3):
        """Waits for heartbeats that are newer than now."""
        for _ in range(n):
            newest = self.host()["heartbeat_time"]
            wait_until("another heartbeat", lambda: self.host()["heartbeat_time"] != newest, 15)


def cgroup_link(pid):
    """The kernel's id of one link of this process that is attached to a cgroup."""
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        text = info.read_text(errors="replace")
        if "link_type:\tcgroup" in text:
            return re.search(r"link_id:\s+(\d+)", text).group(1)
    raise harness.Failure("the agent has no link to a cgroup")


def quiet(rig):
    """Lateness is left out: with bounds this short a busy machine alone brings it about."""
    rig.beats(4)
    found = [f for f in rig.query("findings") if f["subject"].startswith("evidence") and f["rule"] not in ("agent-paused", "agent-silent")]
    check(not found, f"nothing was done yet: {found}")


def detach(rig):
    """Only a link of this rig's own agent."""
    link = cgroup_link(rig.agent.pid)
    rig.expect("hooks-detached", "critical", lambda: run("bpftool", "link", "detach", "id", link), "taken away")
    wait_until("the hook is not active any more", lambda: rig.host()["missing_hooks"])


def edit(rig):
    def append():
        with open(rig.dir / "agent.toml", "a", encoding="utf-8") as config:
            config.write("# nothing to see here\n")
    rig.expect("agent-changed", "medium", append, "another configuration")


def replace_program(rig):
    def replace():
        other = rig.dir / "other"
        shutil.copy2(harness.BIN / "culprit-agent", other)
        with open(other, "ab") as program:
            program.write(b"\0")
        os.rename(other, harness.BIN / "culprit-agent")
    rig.expect("agent-changed", "high", replace, "another program")


def kill(rig):
    rig.agent.kill()
    rig.expect("agent-killed", "high", rig.start_agent, "killed or crashed", 40)


def stop_and_continue(rig):
    rig.expect("agent-silent", "high", lambda: os.kill(rig.agent.pid, signal.SIGSTOP), "its connection is open", SILENCE + 10)
    rig.expect("agent-paused", "high", lambda: os.kill(rig.agent.pid, signal.SIGCONT), "stood still")


def drop(rig, here):
    """What the sender sends: `culprit` asks the same port."""
    here.run("nft", "add", "table", "inet", "quiet")
    here.run("nft", "add", "chain", "inet", "quiet", "out", "{ type filter hook output priority 0; }")
    sender = run("id", "-u", "nobody").stdout.strip()
    rig.expect("agent-silent", "high",
               lambda: here.run("nft", "add", "rule", "inet", "quiet", "out", "meta", "skuid", sender, "tcp", "dport", rig.port, "drop"),
               "has sent nothing", SILENCE + 10)
    rig.expect("agent-silent", "high", lambda: here.run("nft", "delete", "table", "inet", "quiet"), "speaks again", 30)


def spool_of(rig):
    return rig.agent_status()["spool"]


def empty(spool):
    for file in spool.iterdir():
        file.unlink()


def remove(spool):
    """As `rm -rf` does, again where the agent made a file in between."""
    for _ in range(100):
        shutil.rmtree(spool, ignore_errors=True)
        if not (spool / "stream").exists():
            return


def delete_spool(rig):
    """Between two runs, of which the first says that it stops; then under a running agent, the files and the whole directory: the agent goes
    on in the same stream, and nothing is missing."""
    spool = rig.dir / "agent" / "spool"
    rig.expect("agent-stopped", "low", rig.agent.stop, "said so")
    empty(spool)
    rig.expect("spool-lost", "high", rig.start_agent, "began a new spool", 40)
    rig.beats(2)
    before, lost = spool_of(rig)["stream_id"], rig.host()["lost_frames"]
    rig.expect("spool-lost", "high", lambda: empty(spool), "removed under it")
    rig.expect("spool-lost", "high", lambda: remove(spool), "removed under it")
    check((spool / "stream").exists(), "the spool is not written again")
    rig.beats(2)
    check(spool_of(rig)["stream_id"] == before, "another stream")
    check(rig.host()["lost_frames"] == lost, f"lost, though the collector was there: {rig.host()['losses']}")


def delete_spool_unseen(rig, here):
    """The attacker's best case: nothing reaches the collector, and then the spool goes. What was in its closed segments is gone; how much, and
    which, is declared, and evidence goes on in the same stream."""
    spool = rig.dir / "agent" / "spool"
    before = spool_of(rig)["stream_id"]
    lost = rig.host()["lost_frames"]
    sender = run("id", "-u", "nobody").stdout.strip()
    here.run("nft", "add", "table", "inet", "quiet")
    here.run("nft", "add", "chain", "inet", "quiet", "out", "{ type filter hook output priority 0; }")
    here.run("nft", "add", "rule", "inet", "quiet", "out", "meta", "skuid", sender, "tcp", "dport", rig.port, "drop")
    for _ in range(4000):
        run("/bin/true", os.urandom(100).hex())
        if len(list(spool.glob("evidence-*.clog"))) > 3:  # the newest of those that are acknowledged, and two at least that wait
            break
    check(len(list(spool.glob("evidence-*.clog"))) > 3, "too little evidence to fill two segments")
    remove(spool)
    wait_until("the spool is written again", lambda: (spool / "stream").exists(), 10)
    here.run("nft", "delete", "table", "inet", "quiet")
    wait_until("the loss is declared", lambda: rig.host()["lost_frames"] > lost, 60)
    note(f"        declared: {rig.host()['lost_frames'] - lost} frames of {spool_of(rig)['lanes']}")
    rig.beats(2)
    check(spool_of(rig)["stream_id"] == before, "another stream")
    gaps = [f["reason"] for f in rig.query("findings", "--rule", "evidence-gap")]
    check(not gaps, f"a hole that was not declared: {gaps}")


def stolen_key(rig):
    """Another agent, with a spool of its own and the same certificate."""
    config = rig.dir / "thief.toml"
    config.write_text((rig.dir / "agent.toml").read_text().replace(str(rig.dir / "agent") + '"', str(rig.dir / "thief") + '"'))
    thief = []
    rig.expect("evidence-fork", "critical",
               lambda: thief.append(rig.spawn(*rig.place, harness.BIN / "culprit-agent", "run", "--config", config, log="thief.log")),
               "two programs speak", 60)
    thief[0].kill()


def main():
    began = time.monotonic()
    with TamperRig("tamper") as rig:
        rig.collector_extra = LIMITS
        rig.own_programs()
        here, _ = rig.namespaces()
        rig.live_in(here)
        rig.start_collector()
        rig.start_agent()
        quiet(rig)
        edit(rig)
        replace_program(rig)
        detach(rig)
        kill(rig)
        stop_and_continue(rig)
        drop(rig, here)
        stolen_key(rig)
        delete_spool(rig)
        delete_spool_unseen(rig, here)
        for finding in rig.query("findings"):
            check(finding["rule"] in run(harness.BIN / "culprit", "explain", finding["rule"]).stdout, f"{finding['rule']} is not explained")
    note(f"passed in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
