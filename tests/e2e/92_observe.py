#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What watches Culprit itself, and what changes while it runs: metrics of both daemons, /healthz through a full disk and back, configuration and
certificates read again by SIGHUP (good, broken, in need of a restart), and the agent's canary, which notices that its hooks are gone."""
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import harness
from harness import BIN, Rig, check, free_port, note, run, wait_until

NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:{{({LABEL}(?:,{LABEL})*)}})? (\S+)")
SHORT_SILENCE = "[detect.integrity]\nsilence_seconds = 20\nsilence_warning_seconds = 10\n"


class ObservedRig(Rig):
    """A collector with a listener for metrics, an agent with quick heartbeats and a textfile."""

    def __init__(self, name):
        super().__init__(name)
        self.metrics_port, self.disk = free_port(), ""

    def write_agent_config(self, head='heartbeat = "500ms"\ncanary = "1s"\n', tail=""):
        path = super().write_agent_config()
        path.write_text(head + path.read_text() + f'[metrics]\ntextfile = "{self.dir / "textfile/culprit.prom"}"\n' + tail)
        return path

    def write_collector_config(self, data=None, head="", tail=""):
        path = super().write_collector_config(data or self.disk)
        path.write_text(head + path.read_text() + f'[metrics]\nlisten = "127.0.0.1:{self.metrics_port}"\n'
                        '[disk]\nwarn_free = 0\ncritical_free = 0\n' + tail)
        return path

    def get(self, path, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, answer.headers, body

    def health(self):
        status, headers, body = self.get("/healthz")
        check(headers["Content-Type"] == "application/json", str(headers))
        document = json.loads(body)
        check((status == 503) == (document["status"] == "failing"), f"{status}: {body}")
        return status, {one["name"]: one for one in document["checks"]}

    def values(self):
        return parse(self.get("/metrics")[2])

    def reload(self, daemon, says):
        """Asks and waits for a new line of the log."""
        before = len(daemon.log.read_text())
        os.kill(daemon.pid, signal.SIGHUP)
        return wait_until(f"{daemon.log.name}: {says}", lambda: re.search(says, daemon.log.read_text()[before:]), 20)


def parse(text):
    """Every sample by name and labels, and that it keeps to the format: HELP and TYPE before the samples of a family, which stand together; counters
    alone end in _total; no sample twice; base units. promtool's word counts too, where it is."""
    samples, families, family = {}, {}, ""
    check(text.endswith("\n"), "the last line has no end")
    for line in text.splitlines():
        if match := re.fullmatch(rf"# HELP ({NAME}) \S.*", line):
            family = match.group(1)
            check(family not in families, f"{family} is there twice")
            check(not re.search("_(ms|us|ns|mb|kb|percent)(_total)?$", family), f"{family}: no base unit")
            continue
        if match := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge)", line):
            check(match.group(1) == family and (match.group(2) == "counter") == family.endswith("_total"), line)
            families[family] = match.group(2)
            continue
        match = SAMPLE.fullmatch(line)
        check(match and match.group(1) == family and family in families, f"no sample of {family}: {line}")
        labels = dict(re.findall(r'([a-zA-Z_0-9]+)="((?:[^"\\]|\\.)*)"', match.group(2) or ""))
        key = (family, tuple(sorted(labels.items())))
        check(key not in samples, f"{key} is there twice")
        samples[key] = float(match.group(3))
    promtool = shutil.which("promtool") or os.environ.get("PROMTOOL")
    if promtool:
        done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
        check(done.returncode == 0, f"promtool: {done.stdout}{done.stderr}")
    return samples


def one(samples, name, **labels):
    return samples[(name, tuple(sorted(labels.items())))]


def collector_metrics(rig):
    status, headers, _ = rig.get("/metrics")
    check(status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), str(headers))
    def counted():
        samples = rig.values()
        frames = one(samples, "culprit_collector_frames_total", result="accepted")
        return samples if frames > 0 and one(samples, "culprit_collector_agents_connected") == 1 else None
    samples = wait_until("the agent and its frames are counted", counted)
    check(one(samples, "culprit_collector_healthy") == 1 and one(samples, "culprit_collector_journal_writable") == 1, samples)
    check(rig.get("/metrics", "POST")[0] >= 400 and rig.get("/other")[0] == 404, "only two paths are read, and nothing is taken")
    code, checks = rig.health()
    check(code == 200 and all(c["status"] == "ok" for c in checks.values()), checks)
    note(f"ok      the collector's metrics: {len(samples)} series, /healthz {code}")


def agent_metrics(rig):
    textfile = rig.dir / "textfile/culprit.prom"
    samples = parse(wait_until("the textfile is there", lambda: textfile.exists() and textfile.read_text()))
    check(textfile.stat().st_mode & 0o777 == 0o644, "the node exporter, who is nobody here, can read it")
    check(not list(textfile.parent.glob("*.tmp")), "nothing is left of its making")
    check(one(samples, "culprit_agent_hook_active", hook="canary") == 1, samples)
    asked = parse(run(BIN / "culprit-agent", "status", "--metrics", "--config", rig.dir / "agent.toml").stdout)
    check(asked.keys() >= samples.keys(), set(samples) - set(asked))
    check(one(asked, "culprit_agent_spool_frames_total", lane="evidence") > 0, asked)
    note(f"ok      the agent's metrics: {len(asked)} series")


def canary_is_seen(rig):
    """It shows up in the agent's own events, and in no view of others' flows."""
    def seen():
        canary = rig.agent_status()["canary"]
        return canary if canary["seen"] >= 3 and canary["made"] - canary["seen"] <= 1 else None
    canary = wait_until("its own connections are seen", seen)
    check(not rig.flows("--remote", "127.0.0.0/8", "--pid", rig.agent.pid), "the canary is among the flows that are shown")
    note(f"ok      canary: {canary}, none among the flows")


def full_disk(rig):
    ballast = rig.disk / "ballast"
    with open(ballast, "wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            pass
    code, checks = wait_until("/healthz says that nothing is accepted",
                              lambda: (rig.health() if rig.health()[0] == 503 and rig.health()[1]["journal"]["status"] == "failing" else None), 40)
    check("agents keep it" in checks["journal"]["reason"], checks["journal"])
    check(one(rig.values(), "culprit_collector_healthy") == 0 and one(rig.values(), "culprit_collector_journal_writable") == 0, rig.values())
    note(f"ok      full disk: {code}, {checks['journal']['reason']}")
    ballast.unlink()
    wait_until("/healthz is fine again", lambda: rig.health()[0] == 200, 60)
    note("ok      space again: 200")


def reload_collector(rig):
    def told():
        return [d for d in rig.status()["degraded"] if d.startswith("reload:")]
    rig.write_collector_config(head='log_level = "debug"\n', tail=SHORT_SILENCE)
    rig.reload(rig.collector, 'reloaded changed="detect.integrity.silence_seconds, detect.integrity.silence_warning_seconds, log_level"')
    loaded = one(rig.values(), "culprit_collector_config_last_reload_success_timestamp_seconds")
    broken = rig.write_collector_config(tail="[detect.scan]\nnet_failures = true\n")
    rig.reload(rig.collector, f"not reloaded, nothing was changed: .*{re.escape(str(broken))}.*net_failures")
    check("net_failures" in told()[0], told())
    samples = rig.values()
    check(one(samples, "culprit_collector_config_last_reload_successful") == 0, samples)
    check(one(samples, "culprit_collector_config_last_reload_success_timestamp_seconds") == loaded, samples)
    code, checks = rig.health()
    check(code == 200 and checks["config"]["status"] == "warning", checks)
    rig.write_collector_config(head='log_level = "debug"\n', tail=SHORT_SILENCE + '[ingest]\nmax_threads = 100\n')
    rig.reload(rig.collector, "takes effect after a restart: ingest.max_threads")
    check(not told() and one(rig.values(), "culprit_collector_config_restart_pending") == 1, rig.status())
    rig.write_collector_config(tail=SHORT_SILENCE)
    rig.reload(rig.collector, "reloaded")
    check(rig.status()["degraded"] == [] and rig.health()[1]["config"]["status"] == "ok", rig.status())
    note("ok      the collector's configuration: good, broken, restart, good again")


def reload_agent(rig):
    config = rig.dir / "agent.toml"
    good = config.read_text()
    config.write_text(good.replace('heartbeat = "500ms"', 'heartbeat = "700ms"\nlog_level = "debug"') + "[limits]\nmax_flows = 1000\n")
    rig.reload(rig.agent, "reloaded sender=goes on")
    status = rig.agent_status()
    check(status["config"]["restart_pending"] == ["limits.max_flows"], status["config"])
    config.write_text(good + "[limits]\nmax_flows = true\n")
    rig.reload(rig.agent, "not reloaded, nothing was changed")
    # Asked without the file, which nobody can read now.
    status = json.loads(run(BIN / "culprit-agent", "status", "--json", "--data", rig.dir / "agent").stdout)
    check("limits.max_flows" in status["config"]["refused"] and any(d.startswith("reload:") for d in status["degraded"]), status)
    wait_until("the collector is told, too", lambda: any("reload:" in d for d in rig.host()["degraded"]))
    config.write_text(good)
    rig.reload(rig.agent, "reloaded sender=goes on")
    check(rig.agent_status()["config"]["refused"] == "", rig.agent_status()["config"])
    note("ok      the agent's configuration: good, broken, good again")


def served_until(rig):
    """The end of the certificate that the port shows."""
    shown = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{rig.port}", "-cert", rig.pki / "operator.pem", "-key",
                            rig.pki / "operator.key"], input="", text=True, capture_output=True, check=False).stdout
    done = subprocess.run(["openssl", "x509", "-noout", "-serial"], input=shown, text=True, capture_output=True, check=False)
    return done.stdout.strip()


def new_certificates(rig):
    """The server's and the agent's are replaced; nothing is missing afterwards, no connection ends but the one that must."""
    was, host = served_until(rig), rig.host()
    check(was, "the port shows a certificate")
    connections = one(rig.values(), "culprit_collector_agent_connections_total")
    for name in ("server.pem", "server.key"):
        (rig.pki / name).unlink()
    run(BIN / "culprit-collector", "init", "--dir", rig.pki)
    rig.reload(rig.collector, "certificate=new")
    wait_until("the port shows the new certificate", lambda: served_until(rig) not in ("", was), 10)
    check(one(rig.values(), "culprit_collector_agent_connections_total") == connections, "the agent's connection ended")
    key = rig.pki / "server.key"
    kept = key.read_bytes()
    key.write_bytes((rig.pki / "ca.key").read_bytes())
    rig.reload(rig.collector, "not reloaded, nothing was changed: .*server.key")
    check(rig.host()["agent_id"] == host["agent_id"], "it answers with what it had")
    key.write_bytes(kept)
    rig.reload(rig.collector, "certificate=same")
    note("ok      the server's certificate: new, broken, whole again, on the connections that there were")

    again = rig.dir / "again"
    agent_id = host["agent_id"]
    run(BIN / "culprit-collector", "issue", "agent", f"e2e-{rig.name}", "--pki", rig.pki, "--out", again)
    for name in ("agent.pem", "agent.key"):
        os.replace(again / name, rig.credentials / name)
    pid = rig.agent_status()["collector"]["pid"]
    rig.reload(rig.agent, "reloaded sender=started anew")
    wait_until("another sender is connected", lambda: rig.agent_status()["collector"]["connected"] and rig.agent_status()["collector"]["pid"] != pid)
    hosts = wait_until("evidence comes under the new certificate", lambda: [h for h in rig.query("hosts") if h["agent_id"] != agent_id])
    check(not any(h["gaps"] or h["lost_frames"] for h in rig.query("hosts")), rig.query("hosts"))
    (rig.credentials / "agent.pem").write_text("no certificate\n")
    rig.reload(rig.agent, "not reloaded, nothing was changed: .*agent.pem")
    check(rig.agent_status()["collector"]["connected"], "it goes on with what it had")
    note(f"ok      the agent's certificate: {hosts[0]['agent_id']}")


def cgroup_links(pid):
    """Kernel ids of the links of this process that are attached to a cgroup."""
    found = set()
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        text = info.read_text(errors="replace")
        if "link_type:\tcgroup" in text:
            found.add(re.search(r"link_id:\s+(\d+)", text).group(1))
    return sorted(found)


def blinded(rig):
    """All links of this rig's own agent that can be taken away are: its own connection is not seen any more."""
    began = time.monotonic()
    for link in cgroup_links(rig.agent.pid):
        run("bpftool", "link", "detach", "id", link)
    wait_until("the agent says that it is blind", lambda: any(d.startswith("canary:") for d in rig.agent_status()["degraded"]), 30)
    finding = wait_until("a finding that it does not see itself",
                         lambda: [f for f in rig.query("findings", "--rule", "hooks-detached") if "canary" in f["reason"]], 30)
    wait_until("it is among the hooks that are missing", lambda: any("canary" in host["missing_hooks"] for host in rig.query("hosts")))
    note(f"ok      canary, blinded: {time.monotonic() - began:.1f} s, {finding[0]['severity']}: {finding[0]['reason']}")


def main():
    began = time.monotonic()
    with ObservedRig("observe") as rig:
        rig.disk = rig.dir / "small"
        rig.disk.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs", rig.disk)
        rig.cleanups.append(lambda: run("umount", "-l", rig.disk))
        (rig.dir / "textfile").mkdir()
        rig.start_collector()
        rig.start_agent()
        collector_metrics(rig)
        agent_metrics(rig)
        canary_is_seen(rig)
        full_disk(rig)
        reload_collector(rig)
        reload_agent(rig)
        new_certificates(rig)
        blinded(rig)
    note(f"passed in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
