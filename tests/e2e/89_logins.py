#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Debian's sshd between namespaces: by key and by password, with and without a terminal, sftp, forwarding each way, and what goes on after
the logout. Each login is one session at the collector, with its key and its source, and what was done in it is charged to it to the byte."""
from harness import Rig, check, note, run, wait_until
from sshd_host import PORT, SshHost

SINK, WEB = 9100, 9200
SINK_SERVER = """
import socket, threading
listener = socket.create_server(("0.0.0.0", 9100), backlog=64)
def drain(conn):
    with conn:
        while conn.recv(65536):
            pass
        conn.sendall(b"all")
while True:
    threading.Thread(target=drain, args=(listener.accept()[0],), daemon=True).start()
"""
SENDER = """import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as s:
    s.sendall(b"x" * int(sys.argv[3]))
    s.shutdown(socket.SHUT_WR)
    s.recv(3)
"""
WEB_BYTES = 200_000


class Story:
    def __init__(self, rig, host):
        self.rig, self.host, self.seen = rig, host, set()
        self.sure = "high" if host.journald else "medium"  # of what the log alone says
        self.sender = rig.dir / "sender.py"
        self.sender.write_text(SENDER)
        self.fingerprint = host.fingerprint()

    def logins(self, count):
        """The sessions that were not there before, oldest first."""
        def ours(row):  # the agent sees the whole machine
            return row["address"] in (self.host.outside.v4, self.host.inside.v4) or row["user"] == "bob" or row["principal"].startswith("alice-")

        def fresh():
            rows = [r for r in self.rig.query("logins", "--since", "1h") if r["session_id"] not in self.seen and ours(r)]
            check(len(rows) <= count, f"more than {count} new sessions: {rows}")
            return rows[::-1] if len(rows) == count else None
        rows = wait_until(f"{count} new sessions", fresh, 15)
        self.seen.update(row["session_id"] for row in rows)
        return rows

    def login(self):
        return self.logins(1)[0]

    def session(self, row):
        return self.rig.query("session", row["session_id"])[0]

    def check_login(self, row, user, method, ended=True, kind="ssh", address=None):
        check((row["kind"], row["user"], row["method"], row["address"]) == (kind, user, method, address or self.host.outside.v4), f"{row}")
        check(row["logged"], f"no line told about it: {row}")
        key = self.fingerprint if method == "publickey" else ""
        check(row["key_fingerprint"] == key, f"key {row['key_fingerprint']}, not {key}")
        def joined():
            links = self.session(row)["login"]["links"]
            check({link["kind"]: link["confidence"] for link in links} == {"process": self.sure, "flow": self.sure, "audit": "high"}, f"{links}")
            return True
        wait_until("all links of the chain", joined, 10)
        if ended:
            wait_until("the end of the session", lambda: self.session(row)["login"]["ended_time"], 15)

    def sent(self, row, port, size, **facts):
        """The one connection of the session to that port, which moved `size` bytes one way, and what stands beside it."""
        def found():
            flows = [f for f in self.session(row)["flows"] if port in (f["remote_port"], f["local_port"])
                     and max(int(f["tx_payload_bytes"]), int(f["rx_payload_bytes"])) >= size and f["direction"] != "listen"]
            return flows if len(flows) == 1 and all(flows[0][name] == value for name, value in facts.items()) else None
        flow = wait_until(f"a flow of {size} bytes at port {port} in session {row['session_id']} with {facts}", found, 20)[0]
        for listed in self.rig.flows("--process", flow["process_id"], "--port" if flow["direction"] == "out" else "--local-port", port):
            check((listed["session_id"], listed["session_address"], listed["key_fingerprint"]) ==
                  (row["session_id"], row["address"], row["key_fingerprint"]), f"`flows` says otherwise: {listed}")
            check(listed["forwarded_by_session"] == flow["forwarded_by_session"], f"{listed}")
        process = self.rig.process(flow["process_id"])["process"]
        check((process["login_session_id"], process["session_address"]) == (row["session_id"], row["address"]), f"`process` says {process}")
        return flow

    def command(self, size, port=SINK, address=None):
        return f"python3 {self.sender} {address or self.host.outside.v4} {port} {size}"


def by_key(story):
    story.host.ssh("alice", story.command(300_000), options=story.host.key())
    row = story.login()
    story.check_login(row, "alice", "publickey")
    check(row["key_found_at"].endswith("/home/alice/.ssh/authorized_keys:1"), f"found at {row['key_found_at']}")
    flow = story.sent(row, SINK, 300_000, tx_payload_bytes=300_000, forwarded_by_session=False, session_user="alice")
    members = story.session(row)["processes"]
    check(flow["process_id"] in [m["process"]["process_id"] for m in members], f"the sender is no process of the session: {members}")
    check({m["by"] for m in members if m["process"]["pid"] == flow["pid"]} == {"descent and audit session"}, f"{members}")
    note("login by key, one command: its bytes, key and source")


def by_password(story):
    story.host.ssh("bob", story.command(120_000), options=["-tt"], password="askpass")
    row = story.login()
    story.check_login(row, "bob", "password")
    story.sent(row, SINK, 120_000, tx_payload_bytes=120_000, forwarded_by_session=False)
    note("login by password, with a terminal")


def after_failures(story):
    for _ in range(3):
        story.host.ssh("bob", "true", password="askpass-wrong", check=False)
    story.host.ssh("nobody-here", "true", password="askpass-wrong", check=False)
    story.host.ssh("bob", "true", password="askpass")
    row = story.login()
    story.check_login(row, "bob", "password")
    check(row["failures_before"] == 4, f"failed before: {row['failures_before']}")

    def sums():
        rows = story.rig.query("logins", "--failed", "--since", "1h")
        of = lambda user, method: sum(int(r["count"]) for r in rows if (r["user"], r["method"]) == (user, method))
        return (of("bob", "password"), of("nobody-here", "password"), of("nobody-here", "invalid user")) == (3, 1, 1) and rows
    rows = wait_until("the sums of failures", sums, 20)
    check(all(r["address"] == story.host.outside.v4 for r in rows), f"{rows}")
    check(all(r["invalid_user"] == (r["user"] == "nobody-here") for r in rows), f"{rows}")
    note("failed attempts summed, and told beside the login that followed")


def local_forwarding(story, user):
    client = story.host.hold(user, "-L", f"7001:{story.host.outside.v4}:{SINK}")
    row = story.login()
    story.check_login(row, user, "publickey", ended=False)
    story.host.outside.run("sh", "-c", story.command(250_000, 7001, "127.0.0.1"))
    story.sent(row, SINK, 250_000, tx_payload_bytes=250_000, forwarded_by_session=True, direction="out", comm="sshd")
    client.stop(5)
    note(f"-L as {user}: sshd's connection is the session's")


def dynamic_forwarding(story):
    client = story.host.hold("alice", "-D", "7002")
    row = story.login()
    story.check_login(row, "alice", "publickey", ended=False)
    url = f"http://{story.host.outside.v4}:{WEB}/page"
    story.host.outside.run("curl", "-sf", "-o", "/dev/null", "--socks5-hostname", "127.0.0.1:7002", url)
    story.sent(row, WEB, WEB_BYTES, forwarded_by_session=True, direction="out", comm="sshd")
    client.stop(5)
    note("-D: sshd's connection is the session's")


def remote_forwarding(story):
    client = story.host.hold("alice", "-R", f"7003:{story.host.outside.v4}:{SINK}")
    row = story.login()
    story.check_login(row, "alice", "publickey", ended=False)
    wait_until("sshd listening for the client", lambda: ":7003" in story.host.inside.run("ss", "-ltn").stdout)
    story.host.inside.run("sh", "-c", story.command(150_000, 7003, "127.0.0.1"))
    story.sent(row, 7003, 150_000, rx_payload_bytes=150_000, forwarded_by_session=True, direction="in", comm="sshd")
    client.stop(5)
    note("-R: what comes in by sshd's listener is the session's")


def file_copied(story):
    size = 2_000_000
    source, batch = story.rig.dir / "plain", story.rig.dir / "batch"
    source.write_bytes(b"\0" * size)
    batch.write_text(f"put {source} copy\n")
    run(*story.host.command("alice", program="sftp", options=[*story.host.key(), "-b", batch]))
    row = story.login()
    story.check_login(row, "alice", "publickey")
    answer = wait_until("the bytes of the copy", lambda: (a := story.session(row)) and int(a["connection"]["rx_payload_bytes"]) >= size and a, 20)
    check(answer["connection"]["remote"] == story.host.outside.v4, f"{answer['connection']}")
    check(any("sftp-server" in m["process"]["exe"] for m in answer["processes"]), f"no sftp-server: {answer['processes']}")
    check(int(answer["totals"]["tx_payload_bytes"] if answer["totals"] else 0) < size, f"the login's own connection is in the sum: {answer['totals']}")
    note("sftp: what was copied stands beside the session")


def after_logout(story):
    wait = f"sleep 3; {story.command(180_000)}"
    story.host.ssh("alice", f"nohup sh -c '{wait}' > /dev/null 2>&1 < /dev/null &", options=story.host.key())
    row = story.login()
    story.check_login(row, "alice", "publickey")
    flow = story.sent(row, SINK, 180_000, tx_payload_bytes=180_000, forwarded_by_session=False)
    check(flow["start_time"] > story.session(row)["login"]["ended_time"], f"the flow is not after the logout: {flow}")
    note("nohup: what began after the logout is the session's")


def jumped(story):
    host = story.host
    run(*host.outside.command("ssh", "-F", host.dir / "jump_config", "-J", f"alice@{host.inside.v4}", f"bob@{host.inside.v4}",
                              story.command(90_000)))
    first, second = story.logins(2)
    story.check_login(first, "alice", "publickey")
    story.check_login(second, "bob", "publickey", address=host.inside.v4)
    flows = [f for f in story.session(first)["flows"] if f["remote_port"] == PORT]
    check(len(flows) == 1 and flows[0]["forwarded_by_session"] and flows[0]["direction"] == "out", f"{flows}")
    story.sent(second, SINK, 90_000, tx_payload_bytes=90_000, forwarded_by_session=False)
    note("-J: the first session carries the second, whose source it is")


def as_another_user(story):
    story.host.ssh("alice", f"sudo -n {story.command(80_000)}", options=story.host.key())
    row = story.login()
    story.check_login(row, "alice", "publickey")
    flow = story.sent(row, SINK, 80_000, tx_payload_bytes=80_000, user="root")
    check(flow["session_user"] == "alice", f"{flow}")
    note("sudo: root's bytes are those of who logged in")


def with_another_login_uid(story):
    story.host.ssh("root", f"echo 61099 > /proc/self/loginuid; {story.command(70_000)}", options=story.host.key())
    row = story.login()
    story.check_login(row, "root", "publickey")
    story.sent(row, SINK, 70_000, tx_payload_bytes=70_000, session_user="root")
    login = wait_until("the change", lambda: (found := story.session(row)["login"])["changes"] and found, 10)
    check(login["login_uid"] == 0 and len(login["changes"]) == 1, f"{login}")
    check((login["changes"][0]["from_login_uid"], login["changes"][0]["to_login_uid"]) == (0, 61099), f"{login['changes']}")
    note("a login uid written by its own process: told, and the session stays what it was")


def by_instance_connect(story):
    principal = "arn:aws:sts::123456789012:assumed-role/ops/alice"
    text = f"Providing ssh key from EC2 Instance Connect with fingerprint: {story.fingerprint}, request-id: 1, for IAM principal: {principal}"
    story.host.within("logger", "-t", "ec2-instance-connect", "-p", "authpriv.info", text)
    story.host.ssh("alice", "true", options=story.host.key())
    row = story.login()
    story.check_login(row, "alice", "publickey", kind="instance_connect")
    check(row["principal"] == principal, f"{row}")
    note("EC2 Instance Connect: the login has the principal that its key was handed out for")


def by_session_manager(story):
    """A shell that goes by the name of the SSM agent's worker stands for it: the worker itself needs AWS."""
    worker = story.host.dir / "ssm-session-worker"
    run("cp", "/bin/bash", worker)
    (story.host.dir / "alice-0123456789abcdef").write_text(story.command(60_000) + "\n")
    story.host.within(worker, "alice-0123456789abcdef")
    row = story.login()
    check((row["kind"], row["principal"], row["method"]) == ("ssm", "alice-0123456789abcdef", "ssm"), f"{row}")
    story.sent(row, SINK, 60_000, tx_payload_bytes=60_000)
    note("Session Manager: what runs below its worker is a session with its principal")


def at_the_console(story):
    story.host.within("script", "-qec", "login -f bob", "/dev/null", input=f"{story.command(50_000)}; exit\n")
    row = story.login()
    check((row["kind"], row["user"], row["logged"], row["address"]) == ("console", "bob", True, ""), f"{row}")
    story.sent(row, SINK, 50_000, tx_payload_bytes=50_000)
    note("login at a terminal")


def of_one_key(story):
    """`culprit keys` names every session of the key, with what it did."""
    answers = story.rig.query("keys", "--fingerprint", story.fingerprint, "--since", "1h")
    by_id = {a["login"]["session_id"]: a for a in answers}
    listed = story.rig.query("logins", "--key", story.fingerprint, "--since", "1h")
    check(len(listed) == 12 and {r["session_id"] for r in listed} == set(by_id), f"{len(listed)} logins with the key, {len(by_id)} sessions")
    payload = sum(int(f["tx_payload_bytes"]) for a in answers for f in a["flows"] if f["remote_port"] == SINK and f["direction"] == "out")
    # Each command's bytes, and twice those that were forwarded by -L; of -R sshd only receives.
    expected = 300_000 + 2 * 250_000 + 180_000 + 90_000 + 80_000 + 70_000
    check(payload == expected, f"{payload} bytes to the sink by this key, not {expected}")
    text = story.rig.culprit("keys", "--fingerprint", story.fingerprint, "--since", "1h")
    check("sender.py" in text and story.host.outside.v4 in text, text)
    check(not story.rig.query("keys", "--fingerprint", story.host.fingerprint("other"), "--since", "1h"), "a key that nobody used")
    note("what was done with the key, over all its sessions")


def by_the_journal(story):
    """The journal knows who wrote a line: what root's sshd did not write is no login."""
    by_key(story)
    forged = "Accepted password for root from 203.0.113.66 port 4000 ssh2"
    story.host.ssh("alice", f"logger -t sshd -p auth.info '{forged}'", options=story.host.key())
    story.check_login(story.login(), "alice", "publickey")
    story.host.ssh("bob", "true", password="askpass-wrong", check=False)
    story.host.ssh("bob", "true", password="askpass")
    row = story.login()
    story.check_login(row, "bob", "password")
    check(row["failures_before"] == 1, f"{row}")
    check(not story.rig.query("logins", "--since", "1h", "--from", "203.0.113.66"), "a line that a user wrote is a login")
    counters = story.rig.agent_status()["counters"]
    check(counters["login log entries that root did not write"] == 1, f"{counters}")
    story.rig.agent.stop()
    story.rig.start_agent()
    wait_until("the agent after its start", story.rig.agent_status)
    story.host.ssh("alice", "true", options=story.host.key())
    story.check_login(story.login(), "alice", "publickey")  # and none that was read before
    note("the journal: followed over a restart, and what root did not write is no login")


def main():
    with Rig("journal") as rig:
        rig.start_collector()
        outside, inside = rig.namespaces()
        host = SshHost(rig, inside, outside, journal=True)
        rig.agent_extra = f'[logins]\njournal_directory = "{host.dir / "journal"}"\n'
        rig.start_agent()
        rig.spawn(*outside.command("python3", "-c", SINK_SERVER))
        host.start()
        by_the_journal(Story(rig, host))
    with Rig("logins") as rig:
        rig.start_collector()
        outside, inside = rig.namespaces()
        host = SshHost(rig, inside, outside)
        rig.agent_extra = f'[logins]\njournal = false\nfiles = ["{host.log}"]\n'
        rig.start_agent()
        rig.spawn(*outside.command("python3", "-c", SINK_SERVER))
        web = rig.dir / "web"
        web.mkdir()
        (web / "page").write_bytes(b"w" * WEB_BYTES)
        rig.spawn(*outside.command("python3", "-m", "http.server", WEB, "--directory", web))
        for port in (SINK, WEB):
            wait_until(f"a listener at {port}", lambda: f":{port}" in outside.run("ss", "-ltn").stdout)
        host.start()
        story = Story(rig, host)
        by_key(story)
        by_password(story)
        after_failures(story)
        local_forwarding(story, "alice")
        local_forwarding(story, "root")
        dynamic_forwarding(story)
        remote_forwarding(story)
        file_copied(story)
        after_logout(story)
        jumped(story)
        as_another_user(story)
        with_another_login_uid(story)
        by_instance_connect(story)
        by_session_manager(story)
        at_the_console(story)
        of_one_key(story)
        note("PASSED")


if __name__ == "__main__":
    main()
