#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Findings are told: to a webhook that is down, fails, hangs, breaks off and asks for patience, to syslog on four transports, to a program. The
collector is killed with -9 between and in the middle of deliveries. Nothing is lost, what comes twice has the same key, every signature is right,
and no secret is in a log. Findings are made by importing Zeek logs of scans."""
import collections
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import re
import signal
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time

from harness import BIN, Rig, check, free_port, note, run, wait_until

SECRET = "5f9c1d0e2b7a48369e4f7d6c5b4a3928"
TOKEN = "T0SECRET/B0SECRET/hunter2hunter2"
ZEEK = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n" \
       "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n" \
       "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tcount\tcount\tcount\tcount\n"


class Receiver:
    """A webhook's receiver: what came, and how it answers, one way a request until the list is empty."""

    def __init__(self, port, certificate=None):
        self.certificate = certificate
        self.port, self.requests, self.script, self.on_request = port, [], collections.deque(), None
        self.lock, self.server = threading.Lock(), None

    def start(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.lock:
                    outer.requests.append((self.path, dict(self.headers), body))
                    way = outer.script.popleft() if outer.script else "ok"
                    hook = outer.on_request
                if hook:
                    hook()
                self.close_connection = True
                with contextlib.suppress(OSError):
                    getattr(self, way)()

            def ok(self):
                self.answer(204)

            def slow(self):
                time.sleep(0.4)
                self.answer(200)

            def broken(self):
                self.answer(500)

            def patience(self):
                self.answer(429, "1")

            def hang(self):
                self.rfile.read(1)  # until the client goes

            def half(self):
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf")

            def answer(self, status, retry_after=None):
                self.send_response(status)
                if retry_after:
                    self.send_header("Retry-After", retry_after)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # who does not trust the certificate goes in the middle
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def all(self):
        with self.lock:
            return list(self.requests)

    def keys(self):
        return [headers["Idempotency-Key"] for _, headers, _ in self.all()]


class SyslogReceivers:
    """Real sockets: a datagram socket as /dev/log is, UDP, TCP, and TLS with certificates on both ends, which breaks off its first connections and
    ends only every other one as TLS wants it."""

    def __init__(self, path, certificate, authority):
        self.messages = collections.defaultdict(list)
        self.local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.local.bind(str(path))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        messages = self.messages

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self):
                text = self.rfile.read().decode()
                length, message = text.split(" ", 1)
                check(int(length) == len(message.encode()), f"octet count {length} of {len(message.encode())}")
                messages["tcp"].append(message)

        self.breaks = breaks = collections.deque(["frame", "silence", "frame"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED

        class Tls(socketserver.BaseRequestHandler):
            def handle(self):
                way = breaks.popleft() if breaks else ""
                if way == "silence":  # no handshake
                    return
                with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True) as conn:
                    text = b""
                    while part := conn.recv(65536):
                        text += part
                        if way == "frame":  # all of it came, and is lost with its receiver
                            conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                            return  # as one that is killed
                    length, message = text.decode().split(" ", 1)
                    check(int(length) == len(message.encode()), f"octet count {length} of {len(message.encode())}")
                    messages["syslog-tls"].append(message)
                    if len(messages["syslog-tls"]) % 2:
                        conn.unwrap()

        self.tls = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tls)
        self.tls.daemon_threads = True
        threading.Thread(target=self.tls.serve_forever, args=(0.05,), daemon=True).start()
        self.tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tcp)
        self.tcp.daemon_threads = True
        threading.Thread(target=self.tcp.serve_forever, args=(0.05,), daemon=True).start()
        for name, sock in (("local", self.local), ("udp", self.udp)):
            threading.Thread(target=self.read, args=(name, sock), daemon=True).start()

    def read(self, name, sock):
        while True:
            self.messages[name].append(sock.recv(65536).decode())

    def keys(self, name):
        return [re.search(r' key="([^"]*)"', m).group(1) for m in self.messages[name]]


def certificate(rig):
    """A key and the certificate of 127.0.0.1, which is its own authority, in one file."""
    both = rig.dir / "receiver.pem"
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=receiver",
        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", rig.dir / "receiver.key", "-out", rig.dir / "receiver.crt")
    both.write_text((rig.dir / "receiver.key").read_text() + (rig.dir / "receiver.crt").read_text())
    return both


def config(rig, hook, sockets, slack, tls):
    secret, url, program = rig.dir / "hook.secret", rig.dir / "slack.url", rig.dir / "program"
    secret.write_text(SECRET + "\n")
    url.write_text(f"http://127.0.0.1:{slack.port}/services/{TOKEN}\n")
    program.write_text(f"#!/bin/sh\ncat >> {rig.dir}/told && echo >> {rig.dir}/told\n")
    for path, mode in ((secret, 0o600), (url, 0o600), (program, 0o755)):
        path.chmod(mode)
    common = 'min_severity = "low"\ntimeout = "1500ms"\nretry_max = "1s"\n'
    tables = {
        "hook": f'kind = "webhook"\nurl = "http://127.0.0.1:{hook.port}/culprit"\nsecret_file = "{secret}"\n',
        "chat": f'kind = "webhook"\nformat = "slack"\nurl_file = "{url}"\n',
        "local": f'kind = "syslog"\naddress = "{rig.dir}/log"\n',
        "udp": f'kind = "syslog"\naddress = "udp://127.0.0.1:{sockets.udp.getsockname()[1]}"\n',
        "tcp": f'kind = "syslog"\naddress = "tcp://127.0.0.1:{sockets.tcp.server_address[1]}"\n',
        "syslog-tls": f'kind = "syslog"\naddress = "tls://127.0.0.1:{sockets.tls.server_address[1]}"\nca_file = "{rig.dir}/receiver.crt"\n'
                      f'certificate_file = "{rig.dir}/receiver.crt"\nkey_file = "{rig.dir}/receiver.key"\n',
        "script": f'kind = "command"\ncommand = ["{program}"]\n',
        "tls": f'kind = "webhook"\nformat = "ocsf"\nurl = "https://127.0.0.1:{tls.port}/"\nca_file = "{rig.dir}/receiver.crt"\n',
        "distrust": f'kind = "webhook"\nurl = "https://127.0.0.1:{tls.port}/"\nrules = ["mining"]\n',
        "small": 'kind = "webhook"\nurl = "http://127.0.0.1:1/"\nmax_queued = 10\nrules = ["mining"]\n',
    }
    rig.collector_extra = "".join(f'[[alert]]\nname = "{name}"\n{common}{keys}' for name, keys in tables.items())


def import_scan(rig, number):
    """A host of its own that scans: one finding."""
    log = rig.dir / f"scan-{number}.log"
    now = time.time() - 60
    log.write_text(ZEEK + "".join(
        f"{now + i * 0.1:.6f}\tC{number}x{i}\t192.0.2.{number}\t{40000 + i}\t198.51.100.{i + 1}\t22\ttcp\tREJ\t1\t60\t1\t40\n" for i in range(25)))
    done = subprocess.run([BIN / "culprit", "import", "zeek", log, "--watch", f"192.0.2.{number}", "--name", f"host-{number}",
                           "--agent-config", rig.dir / "import.toml"], capture_output=True, text=True, check=False)
    return done.returncode == 0


def findings(rig):
    return {f["host"]: f for f in rig.query("findings")}


def finding_of(rig, number):
    return wait_until(f"the finding of host-{number}", lambda: findings(rig).get(f"host-{number}"), 20)


def target(rig, name):
    return {t["name"]: t for t in rig.query("alerts")}[name]


def opened(finding):
    return f"{finding['id']}-opened-{finding['severity']}"


def check_signatures(hook):
    bodies = {}
    for path, headers, body in hook.all():
        check(path == "/culprit", path)
        stamp = headers["X-Culprit-Timestamp"]
        right = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        check(headers["X-Culprit-Signature"] == "v1=" + right, f"signature {headers['X-Culprit-Signature']} and not {right}")
        check(abs(int(stamp) - time.time()) < 300, f"time stamp {stamp}")
        key = headers["Idempotency-Key"]
        check(bodies.setdefault(key, body) == body, f"{key}: two attempts with different bodies")
        check(json.loads(body)["key"] == key, body)


def check_down_and_killed(rig, hook):
    """Nobody listens; the collector dies; what waits is there when it comes back."""
    check(import_scan(rig, 1), "import")
    first = finding_of(rig, 1)
    wait_until("it waits for the webhook", lambda: target(rig, "hook")["queued"] == 1 and target(rig, "hook")["failures"] > 0, 10)
    rig.collector.kill()
    rig.start_collector()
    state = wait_until("an attempt after the kill", lambda: target(rig, "hook")["failures"] > 0 and target(rig, "hook"), 10)
    check(state["queued"] == 1 and "connect" in state["last_error"], f"{state}")
    shown = wait_until("it is a problem", lambda: [d for d in rig.status()["degraded"] if d.startswith("alert-hook")], 15)
    note(f"down and killed: {shown[0]}")
    return first


def check_bad_answers(rig, hook, first):
    """Every bad answer, one after the other: the same alert comes until it is taken."""
    hook.script.extend(["broken", "patience", "hang", "half", "slow"])
    hook.start()
    wait_until("it is taken", lambda: target(rig, "hook")["queued"] == 0, 20)
    check(not hook.script and len(hook.keys()) >= 5 and set(hook.keys()) == {opened(first)}, f"{hook.keys()}")
    state = target(rig, "hook")
    check((state["delivered"], state["lost"], state["failures"]) == (1, 0, 0) and state["last_success_time"], f"{state}")
    attempts = [int(headers["X-Culprit-Attempt"]) for _, headers, _ in hook.all()]
    check(attempts == sorted(set(attempts)), f"attempts {attempts}")


def check_kill_in_the_middle(rig, hook):
    """The receiver has it, the collector does not know yet: it comes again with its key."""
    def kill():
        hook.on_request = None
        os.kill(rig.collector.pid, signal.SIGKILL)
    before = len(hook.keys())
    hook.on_request = kill
    import_scan(rig, 2)
    rig.collector.process.wait(20)
    rig.collector.kill()
    rig.start_collector()
    second = finding_of(rig, 2)
    wait_until("it came again", lambda: len(hook.keys()) >= before + 2, 20)
    check(set(hook.keys()[before:]) == {opened(second)}, f"{hook.keys()[before:]}")
    note(f"killed in the middle of a delivery: {len(hook.keys()) - before} times with one key")


def check_kills_at_random(rig, hook):
    """Imports go on while the collector dies now and then: in the end every finding was told."""
    hook.script.extend(["ok", "broken", "ok", "half"] * 4)
    stop = threading.Event()

    def killer():
        for pause in (0.5, 0.9, 0.7):
            if stop.wait(pause):
                return
            rig.collector.kill()
            rig.start_collector()

    thread = threading.Thread(target=killer)
    thread.start()
    for number in range(3, 7):
        wait_until(f"import {number}", lambda number=number: import_scan(rig, number), 30)
    stop.set()
    thread.join()
    for number in range(3, 7):
        finding_of(rig, number)


def check_all_told(rig, hook, slack, tls, sockets):
    expected = {opened(f) for f in findings(rig).values()}
    check(len(expected) == 6, f"{expected}")
    for name in ("hook", "chat", "tls", "local", "udp", "tcp", "syslog-tls", "script"):
        wait_until(f"{name} has nothing left", lambda name=name: target(rig, name)["queued"] == 0, 20)
        check(target(rig, name)["lost"] == 0, f"{target(rig, name)}")
    told = [json.loads(line) for line in (rig.dir / "told").read_text().splitlines() if line]
    got = {"hook": hook.keys(), "chat": slack.keys(), "tls": tls.keys(), "script": [t["key"] for t in told],
           **{name: sockets.keys(name) for name in ("local", "udp", "tcp", "syslog-tls")}}
    for name, keys in got.items():
        wait_until(f"{name} was told of all", lambda name=name, keys=keys: set(keys) == expected, 1)
    note("told: " + ", ".join(f"{name} {len(keys)} of {len(set(keys))}" for name, keys in got.items()))
    check(not sockets.breaks, f"connections that were to be broken off: {sockets.breaks}")
    for name in ("local", "udp", "tcp", "syslog-tls"):
        for message in sockets.messages[name]:
            check(re.match(r"<8[0-7]>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \S+ culprit - opened \[origin software=\"culprit\"\] ", message), message)
    check(all("host-" in json.loads(body)["text"] for _, _, body in slack.all()), "no host in the chat")


def check_close(rig, hook, sockets, first):
    rig.culprit("finding", first["id"], "--close", "our own scanner")
    wait_until("the end is told", lambda: any("-closed-" in k for k in hook.keys()) and any("-closed-" in k for k in sockets.keys("tcp")), 10)
    last = json.loads(hook.all()[-1][2])
    check((last["event"], last["finding"]["id"], last["finding"]["state_reason"]) == ("closed", first["id"], "our own scanner"), f"{last}")


def culprit(rig, *arguments):
    return subprocess.run([BIN / "culprit", "--collector", f"127.0.0.1:{rig.port}", "--credentials", rig.pki, *arguments],
                          capture_output=True, text=True, check=False)


def check_tests_and_losses(rig, hook):
    done = culprit(rig, "alerts", "test", "hook")
    check(done.returncode == 0 and "delivered" in done.stdout, f"{done}")
    check(hook.all()[-1][1]["X-Culprit-Event"] == "test" and json.loads(hook.all()[-1][2])["test"] is True, f"{hook.all()[-1]}")
    done = culprit(rig, "alerts", "test", "distrust")
    check(done.returncode == 1 and "certificate" in done.stdout, f"a certificate that nobody vouches for: {done}")
    check(culprit(rig, "alerts", "test", "nobody").returncode == 3, "a target that is not there")
    testers = [subprocess.Popen([BIN / "culprit", "--collector", f"127.0.0.1:{rig.port}", "--credentials", rig.pki, "alerts", "test", "small"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(14)]
    wait_until("a full queue is declared", lambda: target(rig, "small")["lost"] == 4 and target(rig, "small")["queued"] == 10, 20)
    check({t.wait(30) for t in testers} == {1}, "a test that was not delivered ends with 0")
    shown = rig.culprit("alerts")
    check("small" in shown and "webhook" in shown, shown)
    check("alert small" in rig.culprit("status"), rig.culprit("status"))


def check_secrets(rig):
    collector = [BIN / "culprit-collector", "check-config", "--config", rig.dir / "collector.toml"]
    shown = run(*collector).stdout
    log = rig.collector.log.read_text() + shown + rig.culprit("alerts") + rig.culprit("alerts", "--json") + rig.culprit("status")
    check(SECRET not in log and TOKEN not in log, "a secret was told")
    (rig.dir / "hook.secret").chmod(0o644)
    done = subprocess.run(collector, capture_output=True, text=True, check=False)
    check(done.returncode == 2 and "alert hook" in done.stderr and "chmod 0640" in done.stderr, f"{done}")


def check_exports(rig):
    ocsf, ecs = rig.culprit("findings", "--export", "ocsf"), rig.culprit("findings", "--export", "ecs")
    flows = rig.culprit("flows", "--remote", "198.51.100.1", "--export", "ocsf")
    check({json.loads(line)["class_uid"] for line in ocsf.splitlines()} == {2004}, ocsf)
    check({json.loads(line)["event"]["kind"] for line in ecs.splitlines()} == {"alert"}, ecs)
    kinds = collections.Counter(json.loads(line)["class_uid"] for line in flows.splitlines())
    check(kinds == {4001: 6}, f"{kinds}")


def main():
    with Rig("alerts") as rig:
        hook, slack, tls = Receiver(free_port()), Receiver(free_port()), Receiver(free_port(), certificate(rig))
        slack.start()
        tls.start()
        sockets = SyslogReceivers(rig.dir / "log", rig.dir / "receiver.pem", rig.dir / "receiver.crt")
        rig.cleanups += [hook.stop, slack.stop, tls.stop]
        config(rig, hook, sockets, slack, tls)
        rig.start_collector()
        rig.write_agent_config().rename(rig.dir / "import.toml")
        first = check_down_and_killed(rig, hook)
        check_bad_answers(rig, hook, first)
        check_kill_in_the_middle(rig, hook)
        check_kills_at_random(rig, hook)
        check_all_told(rig, hook, slack, tls, sockets)
        check_close(rig, hook, sockets, first)
        check_tests_and_losses(rig, hook)
        check_signatures(hook)
        check_exports(rig)
        check_secrets(rig)
        note("PASSED")


if __name__ == "__main__":
    sys.exit(main())
