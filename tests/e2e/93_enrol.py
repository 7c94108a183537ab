#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who gets in. A host enrols by a join token or by its instance identity document, renews its certificate while it streams, and is cut off when it is
revoked. Whatever is wrong with a proof, a certificate or a connection is refused with words of its own and a line in the audit log; operators may do
what their role says, each question is on record, and the record shows any change to it."""
import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys

from harness import BIN, Rig, check, free_port, note, run, wait_until
from imds import Authority, Imds, document, region_file

AGENT, COLLECTOR, CLI = BIN / "culprit-agent", BIN / "culprit-collector", BIN / "culprit"
VALIDITY = 16  # seconds: renewed after some 7


class Hosts:
    """The hosts of this test: a folder of credentials and a configuration each."""

    def __init__(self, rig):
        self.rig = rig

    def config(self, name, source="machine", endpoint="http://127.0.0.1:1"):
        folder = self.rig.dir / name
        path = self.rig.dir / f"{name}.toml"
        path.write_text(
            f'state_dir = "{self.rig.dir / name}-state"\n[identity]\nsource = "{source}"\nendpoint = "{endpoint}"\n'
            f'[collector]\naddress = "127.0.0.1:{self.rig.port}"\nca = "{folder}/ca.pem"\n'
            f'certificate = "{folder}/agent.pem"\nkey = "{folder}/agent.key"\n')
        return path

    def enrol(self, name, *arguments, token="", code=0, words="", trust=True, **identity):
        """culprit-agent enrol ends with `code` and says `words`."""
        if trust:
            arguments = ("--ca", self.rig.pki / "ca.pem", *arguments)
        environment = {**os.environ, "CULPRIT_TOKEN": token} if token else None
        done = subprocess.run([str(a) for a in (AGENT, "enrol", "--config", self.config(name, **identity), *arguments)], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
        check(done.returncode == code and re.search(words, done.stdout, re.S), f"enrol {name}: exit {done.returncode}, expected {code} and '{words}':\n{done.stdout}")
        note(f"ok      {name}: exit {code}: {done.stdout.strip()[:170]}")
        return done.stdout


def two_ports():
    """A free port, and the one above it, where hosts enrol unless they are told otherwise."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
            return port, port + 1


def collector(rig, *arguments, code=0):
    done = run(COLLECTOR, *arguments[:1], *arguments[1:], "--config", rig.dir / "collector.toml", check=False)
    check(done.returncode == code, f"culprit-collector {arguments}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def make_token(rig, *arguments):
    return json.loads(collector(rig, "token", "create", "--json", *arguments))["token"]


def fingerprint(path):
    return run("openssl", "x509", "-in", path, "-noout", "-fingerprint", "-sha256").stdout.strip().split("=")[1]


def ask(rig, credentials, *arguments):
    return run(CLI, "--collector", f"127.0.0.1:{rig.port}", "--credentials", credentials, *arguments, check=False)


def audit_lines(rig):
    """All lines of the audit log, with the chain checked by a reader that shares no code with ours."""
    before, lines = "0" * 64, []
    for log in sorted((rig.dir / "collector/audit").glob("audit-*.jsonl")):
        for text in log.read_text().splitlines():
            line = json.loads(text)
            body = text[:text.index(',"hash":"')]
            check(line["seq"] == len(lines) + 1 and line["prev"] == before, f"the chain breaks at {text}")
            before = hashlib.sha256(body.encode()).hexdigest()
            check(line["hash"] == before, f"not the hash of its bytes: {text}")
            lines.append(line)
    return lines


def audited(rig, action, result, words=""):
    """The newest line of the audit log with this action and result."""
    def line():
        found = [e for e in audit_lines(rig) if action in e["action"] and e["result"] == result and words in e.get("detail", "")]
        return found[-1] if found else None
    return wait_until(f"audit line {action} {result} {words}", line, 10)


# --- tokens, renewal, revocation -----------------------------------------------------------------------------------------------
def by_token(rig, hosts):
    token = make_token(rig)
    hosts.enrol("web", "--ca-fingerprint", "0" * 64, token=token, code=1, words="not the one that was named", trust=False)
    hosts.enrol("web", token=token[:-1] + ("0" if token[-1] != "0" else "1"), code=1, words="not one of this collector's")
    hosts.enrol("web", code=2, words="join token")
    hosts.enrol("web", "--ca-fingerprint", fingerprint(rig.pki / "ca.pem"), token=token, words="enrolled as machine-", trust=False)
    check((rig.dir / "web/agent.key").stat().st_mode & 0o777 == 0o600, "the key can be read by others")
    hosts.enrol("web", token=token, words="enrolled already")
    hosts.enrol("impostor", token=token, code=1, words="used 1 of 1")
    hosts.enrol("impostor", token=make_token(rig), code=1, words="has enrolled already.*culprit-collector allow")
    audited(rig, "enrol", "ok")
    audited(rig, "enrol", "token_unknown")
    audited(rig, "enrol", "token_used_up")
    audited(rig, "enrol", "second_enrolment")
    expired = make_token(rig, "--for", "1ms")
    hosts.enrol("late", "--host-id", "machine-late", token=expired, code=1, words="expired")
    audited(rig, "enrol", "token_expired")
    taken = make_token(rig)
    collector(rig, "token", "revoke", json.loads(collector(rig, "token", "list", "--json").splitlines()[-1])["id"])
    hosts.enrol("late", "--host-id", "machine-late", token=taken, code=1, words="revoked")
    audited(rig, "enrol", "token_revoked")
    finding = wait_until("finding of the second enrolment", lambda: rig.query("findings", "--rule", "re-enrolment"), 10)[0]
    check(finding["severity"] == "medium" and "another key" in finding["reason"], f"finding: {finding}")


def renewed_without_a_gap(rig):
    rig.credentials = rig.dir / "web"
    certificate = rig.credentials / "agent.pem"
    first = fingerprint(certificate)
    wait_until("certificate renewed", lambda: fingerprint(certificate) != first, 40, 0.3)
    second = fingerprint(certificate)
    wait_until("renewed once more", lambda: fingerprint(certificate) != second, 40, 0.3)
    check(rig.status()["agents_connected"] == 1, "not connected after the renewals")
    host = rig.host()
    for counter in ("gaps", "forks"):
        check(int(host.get(counter, 0)) == 0, f"{counter} after the renewals: {host}")
    audited(rig, "renew", "ok")
    note("ok      certificate renewed twice while the agent streamed, without a gap")


def revoked(rig, hosts):
    name = json.loads(collector(rig, "hosts", "--json").splitlines()[0])["host"]
    collector(rig, "revoke", name, "--reason", "taken over")
    wait_until("the live connection is cut", lambda: rig.status()["agents_connected"] == 0, 15)
    wait_until("the agent says why", lambda: any("revoked: taken over" in d for d in rig.agent_status()["degraded"]), 20)
    audited(rig, "/culprit.v1.Ingest/Stream", "revoked", "taken over")
    hosts.enrol("web", "--again", token=make_token(rig), code=1, words="was revoked")
    audited(rig, "enrol", "revoked")
    collector(rig, "allow", name)
    hosts.enrol("web", "--again", token=make_token(rig), words="enrolled as")
    rig.agent.stop()
    audited(rig, "revoke", "ok", "taken over")
    audited(rig, "allow", "ok")


def stale(rig, hosts):
    """A host that was off while its certificate ran out comes back by its key."""
    shown = rig.dir / "expired-operator"
    shown.mkdir()
    for name, source in (("ca.pem", "ca.pem"), ("operator.pem", "agent.pem"), ("operator.key", "agent.key")):
        shutil.copy(rig.dir / "stopped" / source, shown / name)
    wait_until("certificate ran out", lambda: "enrolled as" in run(
        AGENT, "enrol", "--host-id", "machine-stopped", "--config", rig.dir / "stopped.toml", check=False, env={**os.environ, "CULPRIT_TOKEN": "x"}).stdout, 30, 0.5)
    handshake(rig, "expired", "-cert", shown / "operator.pem", "-key", shown / "operator.key")


# --- the identity document -----------------------------------------------------------------------------------------------------
def by_document(rig, hosts, aws):
    mine, other_region, forger, old = aws
    instance, another = "i-0123456789abcdef0", "i-0fedcba9876543210"
    text = document(instance)
    with Imds() as imds:
        identity = {"source": "imds", "endpoint": imds.endpoint}

        def refused(name, body, signature, words, reason):
            imds.serve(body, signature)
            hosts.enrol(name, code=1, words=words, **identity)
            audited(rig, "enrol", reason)
        refused("forged", text, forger.sign(text), "not signed by AWS's certificate", "document_signature")
        refused("region", text, other_region.sign(text), "or of another region", "document_signature")
        refused("content", document(another), mine.sign(text), "of another document", "document_content")
        away = document(instance, region="eu-west-9")
        refused("unknown", away, mine.sign(away), "no certificate of AWS for region eu-west-9", "unknown_region")
        gone = document(instance, region="us-old-1")
        refused("old", gone, old.sign(gone), "has expired", "region_certificate_expired")
        foreign = document(instance, account="210987654321")
        refused("account", foreign, mine.sign(foreign), "not in enrol.aws_accounts", "account")
        imds.serve(text, mine.sign(text))
        hosts.enrol("thief", "--host-id", another, code=1, words=f"of instance {instance}", **identity)
        audited(rig, "enrol", "other_instance")
        hosts.enrol("instance", words=f"enrolled as {instance}", **identity)
        hosts.enrol("replay", code=1, words="has enrolled already", **identity)
        audited(rig, "enrol", "second_enrolment", instance)
        # Also by what is no IMDS at all.
        hosts.enrol("lonely", code=5, words="IMDSv2", source="imds", endpoint="http://127.0.0.1:1")


# --- connections ---------------------------------------------------------------------------------------------------------------
def handshake(rig, reason, *arguments):
    """openssl's client is refused in the handshake, and there is a line about it."""
    def count():
        return sum(e["action"] == "handshake" and e["result"] == reason for e in audit_lines(rig))
    before = count()
    run("openssl", "s_client", "-connect", f"127.0.0.1:{rig.port}", "-alpn", "h2", "-CAfile", rig.pki / "ca.pem", *arguments,
        check=False, stdin=subprocess.DEVNULL, timeout=20)
    wait_until(f"audit line of a handshake: {reason}", lambda: count() > before, 10)
    note(f"ok      handshake refused: {reason}")


def connections(rig):
    run(COLLECTOR, "init", "--dir", rig.dir / "other-pki")
    handshake(rig, "other_ca", "-cert", rig.dir / "other-pki/operator.pem", "-key", rig.dir / "other-pki/operator.key")
    handshake(rig, "not_a_client", "-cert", rig.pki / "server.pem", "-key", rig.pki / "server.key")
    handshake(rig, "no_certificate")
    handshake(rig, "old_tls", "-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", rig.port), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: collector\r\n\r\n")
        plain.recv(100)
    audited(rig, "handshake", "plaintext")
    note("ok      handshake refused: plaintext")


# --- operators -----------------------------------------------------------------------------------------------------------------
def roles(rig, hosts):
    for role in ("viewer", "responder"):
        run(COLLECTOR, "issue", "operator", f"a-{role}", "--role", role, "--pki", rig.pki, "--out", rig.dir / role)
    finding = rig.query("findings", "--rule", "re-enrolment")[0]["id"]
    for credentials, command, code, words in (
            ("viewer", ("findings",), 0, ""),
            ("viewer", ("finding", finding, "--ack", "seen"), 5, "needs the role responder, and a-viewer is viewer"),
            ("responder", ("finding", finding, "--ack", "seen"), 0, "seen"),
            ("responder", ("audit",), 5, "needs the role admin"),
    ):
        done = ask(rig, rig.dir / credentials, *command)
        check(done.returncode == code and words in done.stdout, f"{credentials} {command}: exit {done.returncode}\n{done.stdout}")
    line = audited(rig, "SetFindingState", "ok", "seen")
    check(line["actor"] == "operator:a-responder" and line["role"] == "responder" and finding in line["detail"], f"line: {line}")
    audited(rig, "SetFindingState", "denied")
    audited(rig, "/culprit.v1.Audit/ListAudit", "denied")
    note("ok      each role may do what it may, and no more")
    # An agent cannot ask.
    hosts.enrol("asker", "--host-id", "machine-asker", token=make_token(rig))
    agent = rig.dir / "agent-as-operator"
    agent.mkdir()
    for name, source in (("ca.pem", "ca.pem"), ("operator.pem", "agent.pem"), ("operator.key", "agent.key")):
        shutil.copy(rig.dir / "asker" / source, agent / name)
    done = ask(rig, agent, "hosts")
    check(done.returncode == 5 and "operator's certificate, not an agent's" in done.stdout, f"an agent asked: {done.stdout}")
    audited(rig, "/culprit.v1.Query/ListHosts", "denied", "not an agent's")
    # An operator cannot inject evidence.
    rig.credentials = rig.dir / "operator-as-agent"
    rig.credentials.mkdir()
    for name, source in (("ca.pem", "ca.pem"), ("agent.pem", "operator.pem"), ("agent.key", "operator.key")):
        shutil.copy(rig.pki / source, rig.credentials / name)
    rig.agent_state = rig.dir / "operator-state"
    rig.start_agent(wait=False)
    wait_until("the operator's evidence is refused", lambda: any(
        "agent's certificate, not an operator's" in d for d in rig.agent_status()["degraded"]), 20)
    audited(rig, "/culprit.v1.Ingest/Stream", "denied")
    check(all(h["agent_name"] != "operator" for h in rig.query("hosts")), "an operator became a host")
    rig.agent.stop()
    note("ok      agents cannot ask, operators cannot inject")


def chain(rig):
    check("chain, hashes and seals: all fine" in collector(rig, "verify"), "verify")
    shown = rig.query("audit", "--limit", "10000")
    check(len(shown) >= len(audit_lines(rig)) - 1 and shown[0]["seq"] == 1, f"culprit audit shows {len(shown)} lines")
    log = sorted((rig.dir / "collector/audit").glob("*.jsonl"))[0]
    text = log.read_text()
    log.write_text(text.replace("a-responder", "a-nobody", 1))
    out = collector(rig, "verify", code=1)
    check("its hash is not that of its bytes" in out, f"verify after a change:\n{out}")
    done = ask(rig, rig.pki, "audit")
    check(done.returncode == 1 and "does not hold" in done.stdout, f"audit after a change: exit {done.returncode}")
    log.write_text(text)
    check("all fine" in collector(rig, "verify"), "verify after the change was undone")
    note("ok      a changed line of the audit log is found")


def main():
    with Rig("enrol") as rig:
        aws = [Authority(rig.dir, name) for name in ("ap-south-1", "me-south-1", "forger")]
        old = Authority(rig.dir, "us-old-1", over=True)
        region_file(rig.dir / "regions.pem", {"ap-south-1": aws[0], "me-south-1": aws[1], "us-old-1": old})
        rig.port, enrol_port = two_ports()
        rig.collector_extra = (f'[enrol]\nlisten = "127.0.0.1:{enrol_port}"\nvalidity = "{VALIDITY}s"\naws_accounts = ["123456789012"]\n'
                               f'aws_certificates = ["{rig.dir / "regions.pem"}"]\n')
        hosts = Hosts(rig)
        rig.start_collector()
        by_token(rig, hosts)
        hosts.enrol("stopped", "--host-id", "machine-stopped", token=make_token(rig))
        rig.credentials = rig.dir / "web"
        rig.start_agent()
        by_document(rig, hosts, (*aws, old))
        connections(rig)
        renewed_without_a_gap(rig)
        revoked(rig, hosts)
        stale(rig, hosts)
        roles(rig, hosts)
        chain(rig)
    return 0


if __name__ == "__main__":
    sys.exit(main())
