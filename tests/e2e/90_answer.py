#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`culprit answer`: of two processes that talk to the same server, abuse reports in every shape find the one that did it, with its
executable, hash, parents, bytes and a reply; a report that fits nobody finds nobody. A VPC flow log of the same is joined to the processes, and
imported as the evidence of a host of its own."""
import datetime
import gzip
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

from harness import BIN, Rig, check, note, run, wait_until

SERVER = """
import socket, sys, threading
def serve(listener):
    while True:
        conn, _ = listener.accept()
        with conn:
            while conn.recv(65536):
                pass
for port in (2222, 8080):
    threading.Thread(target=serve, args=(socket.create_server(("198.51.100.2", port)),)).start()
print("ready", flush=True)
"""
CLIENT = """
import signal, socket, sys
with socket.create_connection(("198.51.100.2", int(sys.argv[1]))) as s:
    s.sendall(b"x" * int(sys.argv[2]))
    print(s.getsockname()[1], flush=True)
signal.pause()
"""
PACIFIC = datetime.timezone(datetime.timedelta(hours=-7))


def client(rig, name, port, size):
    """A process that sends once and stays: (process, local port)."""
    started = rig.spawn(sys.executable, "-c", CLIENT, str(port), str(size), log=name)
    wait_until(f"{name} has sent", lambda: started.log.read_text().strip(), 10)
    return started, int(started.log.read_text())


def reports(at, local_port, instance):
    """Each shape once; `at` in UTC."""
    here = at.astimezone(PACIFIC)
    kolkata = at.astimezone(datetime.timezone(datetime.timedelta(hours=5, minutes=30)))
    return {
        "CSV": f"DOS,,{here:%Y-%m-%d %H:%M:%S} PDT,198.51.100.2,TCP,*,2222,us-east-1\n",
        "victim's log": f"Our server is 198.51.100.2.\n\n{kolkata:%b %e %H:%M:%S} web sshd[4711]: Failed password for root from 198.51.100.1 "
                        f"port {local_port} ssh2\n",
        "log without the victim": f"{at:%b %e %H:%M:%S} web sshd[4711]: Failed password for root from 198.51.100.1 port {local_port} ssh2\n",
        "free text": "Your instance has been implicated in activity that resembles port scanning.\n\n"
                     f"It was seen at {here:%B %d, %Y %I:%M %p} (UTC-07:00), destination port 2222.\n\nTargets: 198[.]51[.]100[.]2\n",
        "swapped columns": f"time;source;port;destination;port\n{at:%d.%m.%Y %H:%M:%S} UTC;198.51.100.2;2222;198.51.100.1;{local_port}\n",
        "JSON": json.dumps({"detail": {"startTime": f"{at:%a, %d %b %Y %H:%M:%S} GMT", "entity": instance,
                                       "target": {"ip": "198.51.100.2", "port": 2222, "time": f"{at:%Y-%m-%dT%H:%M:%SZ}"}}}),
    }


def answer(rig, text, *arguments):
    return subprocess.run([BIN / "culprit", "--collector", f"127.0.0.1:{rig.port}", "--credentials", rig.pki, "answer", "-", *arguments],
                          input=text, text=True, capture_output=True, check=False)


def check_answers(rig, guilty, local_port, at):
    digest = hashlib.sha256(pathlib.Path(os.path.realpath(sys.executable)).read_bytes()).hexdigest()

    def best_match(shape, text):
        done = answer(rig, text, "--json")
        check(done.returncode == 0, f"{shape}: exit {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)["matches"][0]

    shapes = reports(at, local_port, rig.host()["instance_id"])
    wait_until("the hash of the program", lambda: best_match("CSV", shapes["CSV"])["process"]["process"]["exe_sha256"])
    for shape, text in shapes.items():
        best = best_match(shape, text)
        process = best["process"]["process"]
        check(process["pid"] == guilty.pid, f"{shape}: pid {process['pid']} and not {guilty.pid}")
        check(process["exe_sha256"] == digest, f"{shape}: hash {process['exe_sha256']}")
        check(best["process"]["ancestors"][0]["pid"] == os.getpid(), f"{shape}: parent {best['process']['ancestors'][:1]}")
        check(int(best["tx_wire_bytes"]) >= 400_000, f"{shape}: {best['tx_wire_bytes']} B sent")
        check(best["destinations"], f"{shape}: no destinations")
        note(f"{shape}: pid {process['pid']}, {best['confidence']}, {best['points']} points")


def check_flow_log(rig, guilty, bystander):
    """What was exported as a flow log is joined to the processes that it came from, and imported as a host without any."""
    log = rig.dir / "flow.log"
    log.write_text(rig.culprit("flows", "--remote", "198.51.100.2", "--export", "vpcflow"))
    packed = rig.dir / "flow.log.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    rows = rig.query("join", "vpcflow", packed)
    check(len(rows) >= 4, f"{len(rows)} rows: {rows}")
    for joined in rows:
        row, port = joined["row"], {joined["row"]["source_port"], joined["row"]["destination_port"]}
        expected = guilty.pid if 2222 in port else bystander.pid
        check(joined["exact"] and [f["pid"] for f in joined["flows"]] == [expected], f"pid {expected}: {joined}")
        check(row["end"] >= row["start"], row)
    shown = rig.culprit("join", "vpcflow", log)
    check(str(guilty.pid) in shown and "ACCEPT" in shown, shown)
    own = rig.dir / "import"
    run(BIN / "culprit-collector", "issue", "agent", "import", "--pki", rig.pki, "--out", own)
    config = rig.dir / "import.toml"
    config.write_text((rig.dir / "agent.toml").read_text().replace(str(rig.credentials), str(own)))
    run(BIN / "culprit", "import", "vpcflow", packed, "--watch", "198.51.100.1", "--name", "vpc-log", "--agent-config", config, stderr=subprocess.PIPE)
    flows = wait_until("the imported flows", lambda: rig.flows("--host", "vpc-log"), 20)
    sent = {f["remote_port"]: int(f["tx_wire_bytes"]) for f in flows}
    real = {f["remote_port"]: int(f["tx_wire_bytes"]) for f in rig.flows("--host", rig.host()["hostname"], "--remote", "198.51.100.2")}
    check(sent == real, f"imported {sent}, captured {real}")
    note(f"flow log: {len(rows)} rows joined, {len(flows)} flows imported")


def check_text(rig, guilty, at):
    shown = answer(rig, f"{at:%Y-%m-%d %H:%M:%S} UTC 198.51.100.2:2222 \x1b[2J\n")
    check(shown.returncode == 0, shown.stderr)
    for words in (f"pid {guilty.pid}", "started by", "runs", "as far as is known", "in all", "What else it talked to", "Draft of a reply",
                  f"process {guilty.pid} ", "Corrective action: ["):
        check(words in shown.stdout, f"no {words!r} in:\n{shown.stdout}")
    check("\x1b" not in shown.stdout, "the report's control characters reach the terminal")
    guilty.stop(5)
    wait_until("its end is known", lambda: re.search(r"runs +no: ended", answer(rig, f"{at:%Y-%m-%d %H:%M:%S} UTC 198.51.100.2:2222\n").stdout), 15)


def main():
    with Rig("answer") as rig:
        _, far = rig.far_end()
        server = rig.spawn(*far.command(sys.executable, "-c", SERVER), log="server")
        wait_until("server", lambda: "ready" in server.log.read_text(), 10)
        rig.start_collector()
        rig.start_agent()
        bystander, _ = client(rig, "bystander", 8080, 2_000_000)
        guilty, local_port = client(rig, "guilty", 2222, 400_000)
        at = datetime.datetime.now(datetime.timezone.utc)
        wait_until("both flows", lambda: len(rig.flows("--remote", "198.51.100.2")) >= 2, 20)
        wait_until("its bytes", lambda: sum(int(f["tx_wire_bytes"]) for f in rig.flows("--pid", guilty.pid)) >= 400_000, 20)
        check_answers(rig, guilty, local_port, at)
        check(bystander.alive(), "the bystander ended")
        check_flow_log(rig, guilty, bystander)
        for text, code in (("2026-01-01 00:00:00Z 198.51.100.2:9\n", 1), ("203.0.113.99 at noon", 1), ("Hello.", 2)):
            done = answer(rig, text)
            check(done.returncode == code, f"{text!r}: exit {done.returncode} and not {code}: {done.stdout}{done.stderr}")
        check_text(rig, guilty, at)
        note("every shape names the process")


if __name__ == "__main__":
    main()
