#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An agent without a collector: its evidence goes into a bucket, signed with the keys of the instance's role, while the store is busy, hangs up in
the middle, keeps an object without saying so, denies, and calls keys old, and while the agent is killed. Afterwards the objects are copied into a
folder and imported into a fresh collector: every connection is there, once, with its process, and `culprit who` names it."""
import datetime
import json
import re
import shutil
import sys

from harness import BIN, HERE, Daemon, Rig, check, note, run, wait_until
from imds import Imds
from s3_store import Store, utc

REMOTE, TCP, UDP, PORT = "192.0.2.2", 7101, 7102, 7103
ROLE, REGION, BUCKET = "culprit-host", "eu-central-1", "evidence-of-mine"
NAME = re.compile(r"hosts/web/[0-9a-f-]{36}/[0-9a-f-]{36}/(evidence|bulk)-[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{16}\.clog")


class Role:
    """Keys of the instance's role, as the metadata service tells them, and as the store knows them."""

    def __init__(self, imds, store):
        self.imds, self.store, self.count = imds, store, 0

    def renew(self, seconds):
        self.count += 1
        key, secret, token = f"ASIAROLE{self.count:012}", f"se/cr+et{self.count}=", f"to/ken+{self.count}=="
        self.store.keys[key] = secret, token
        ends = (utc() + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        base = "/latest/meta-data/iam/security-credentials/"
        self.imds.answers = {base: ROLE.encode(), base + ROLE: json.dumps({
            "Code": "Success", "LastUpdated": utc().strftime("%Y-%m-%dT%H:%M:%SZ"), "Type": "AWS-HMAC", "AccessKeyId": key,
            "SecretAccessKey": secret, "Token": token, "Expiration": ends}, indent=2).encode()}
        return key


class SinkRig(Rig):
    def write_agent_config(self):
        path = self.dir / "agent.toml"
        path.write_text(f'state_dir = "{self.dir / "agent"}"\n[identity]\nsource = "machine"\nendpoint = "{self.imds.endpoint}"\n'
                        f'[sink]\nbucket = "{BUCKET}"\nregion = "{self.region}"\nprefix = "hosts/web"\nendpoint = "{self.store.endpoint}"\n'
                        f'retention_days = 30\ninterval = "1s"\n{self.sink_extra}')
        return path

    region, sink_extra = REGION, ""

    def begin(self):
        self.agent = Daemon([BIN / "culprit-agent", "run", "--config", self.write_agent_config()], self.dir / "agent.log")

    def stored(self):
        """Up to which frame of each lane the sensor knows that it is stored."""
        return [lane["acked_seq"] for lane in self.agent_status()["spool"]["lanes"].values()]

    def await_stored(self, what):
        """What the agent knows now is stored, whatever else comes."""
        newest = wait_until("status", lambda: [lane["newest_seq"] for lane in self.agent_status()["spool"]["lanes"].values()])
        wait_until(what, lambda: all(s >= n for s, n in zip(self.stored(), newest)), 40)

    def problem(self, text):
        def told():
            sink = self.agent_status()["collector"]
            return sink["sink"] and not sink["connected"] and text in sink["last_error"]
        wait_until(f"status says: {text}", told, 30, 0.1)


NUMBERS = iter(range(1000, 2000))


def connections(a, count):
    """`count` processes of curl, one after the other. {local port: argument that none shares}"""
    ports = {}
    for _ in range(count):
        mark = f"http://{REMOTE}:{PORT}/{next(NUMBERS)}"
        out = a.run("curl", "-s", "-o", "/dev/null", "-w", "%{local_port}", mark).stdout
        ports[int(out)] = mark
    return ports


def check_config(rig):
    """What is wrong is said before a start."""
    keys = rig.dir / "keys"
    keys.write_text("[default]\naws_access_key_id = A\naws_secret_access_key = B\n")
    keys.chmod(0o644)
    for line, text in ((f'credentials = "{keys}"', "chmod 600"), ('lock = "no"', "compliance"), ('[collector]\naddress = "127.0.0.1:1"', "one of the two"),
                       (f'ca = "{rig.dir}/none"', "none")):
        rig.sink_extra = line + "\n"
        done = run(BIN / "culprit-agent", "check-config", "--config", rig.write_agent_config(), check=False)
        check(done.returncode != 0 and text in done.stdout, f"check-config with {line}: {done.returncode}: {done.stdout}")
    rig.sink_extra = ""


def play(rig, role, a):
    """Trouble of every kind. Returns the connections that were made meanwhile."""
    store = rig.store
    first = role.renew(3600)
    rig.begin()
    wait_until("the first objects", lambda: store.objects, 30)
    made = connections(a, 3)
    rig.await_stored("evidence of the first connections")

    store.trouble = ["slow_down", "cut", "store_and_cut", "slow_down"]
    made |= connections(a, 3)
    wait_until("the end of the trouble", lambda: not store.trouble, 30)
    rig.await_stored("evidence of the time of trouble")
    check(store.repeated > 0, "an object that was stored without an answer was not sent again")

    store.ended.add(first)
    second = role.renew(3600)
    made |= connections(a, 2)
    rig.await_stored("evidence under renewed keys")
    wait_until("an object under the renewed keys", lambda: any(second in h["Authorization"] for _, h, _ in store.objects.values()), 40)

    store.denied = True
    made |= connections(a, 2)
    rig.problem("allow s3:PutObject and s3:PutObjectRetention on arn:aws:s3:::evidence-of-mine/hosts/web/*")
    rig.agent.kill()  # with what is not stored
    store.denied = False
    rig.begin()
    wait_until("the agent after kill -9", lambda: any(rig.stored()), 40)
    made |= connections(a, 3)
    rig.await_stored("evidence after kill -9")

    made |= connections(a, 2)
    check(rig.agent.stop() == 0, "the agent did not stop")  # what is left goes out
    rig.agent = None
    return made


def check_objects(store):
    check(store.other_requests == 0, f"{store.other_requests} requests that are no PUT")
    for key, (body, headers, came) in store.objects.items():
        check(NAME.fullmatch(key), f"name {key}")
        check(headers["If-None-Match"] == "*" and headers["x-amz-object-lock-mode"] == "GOVERNANCE", f"headers {headers}")
        check(headers["x-amz-object-lock-retain-until-date"] > came.strftime("%Y-%m-%d"), "lock ends before it begins")
    note(f"{len(store.objects)} objects, {sum(len(b) for b, _, _ in store.objects.values())} bytes, {store.requests} requests")


def imported(rig, folder, data=None, code=0):
    done = run(BIN / "culprit-collector", "import-spool", "--json", "--config", rig.write_collector_config(data), folder, check=False)
    check(done.returncode == code, f"import-spool: exit {done.returncode}\n{done.stdout}")
    return json.loads(done.stdout.splitlines()[-1])


def check_import(rig, folder):
    rig.make_certificates()
    report = imported(rig, folder)
    check(report["whole"] and not report["damage"] and not report["refusals"], f"first import: {report}")
    frames = sum(lane["imported"] for lane in report["lanes"])
    check(len({lane["agent_id"] for lane in report["lanes"]}) == 1, "more than one agent")
    again = imported(rig, folder)
    check(sum(lane["imported"] for lane in again["lanes"]) == 0, "a second import took something again")
    note(f"{frames} frames imported, then 0")


def check_damage(rig, folder):
    """A byte is flipped, and an object is missing: both are told, and the rest is taken."""
    broken = rig.dir / "broken"
    shutil.copytree(folder, broken)
    files = sorted(broken.rglob("evidence-*.clog"))
    check(len(files) > 3, f"{len(files)} objects of the evidence lane")
    files[1].unlink()
    with open(files[2], "r+b") as file:
        file.seek(64 + 132 + 8)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 0xff]))
    report = imported(rig, broken, rig.dir / "second", 1)
    lane = next(lane for lane in report["lanes"] if lane["lane"] == "evidence")
    check(len(report["damage"]) == 1 and report["damage"][0]["file"] == str(files[2]), f"damage {report['damage']}")
    check(lane["missing"] and lane["imported"] > 0, f"gaps {lane}")


def check_answers(rig, made):
    rig.start_collector()

    def all_there():
        rows = [f for f in rig.flows("--remote", REMOTE, "--port", PORT) if f["direction"] == "out" and f["local_port"] in made]
        return rows if len({r["local_port"] for r in rows}) == len(made) else None
    rows = wait_until("all connections in the index", all_there, 30)
    check(len(rows) == len(made), f"{len(rows)} rows of {len(made)} connections")
    for row in rows:
        process = rig.process(row["process_id"])
        check(made[row["local_port"]] in json.dumps(process), f"port {row['local_port']}: {process}")
    who = rig.culprit("who", f"{REMOTE}:{PORT}", "--since", "1h")
    check("curl" in who, f"culprit who: {who}")
    wait_until("detectors", lambda: rig.status()["journal_lsn"] > 0, 20)
    silent = [f for f in rig.query("findings") if f["rule"] == "agent-silent"]
    check(not silent, f"imported evidence is called silent: {silent}")
    note(f"{len(rows)} of {len(made)} connections, each once with its process")


def check_wrong_setup(rig, role):
    """Each mistake in the set-up has its own words in the status."""
    for region, extra, mistake, text in (("us-east-1", "", "", "set sink.region"), (REGION, 'lock = "compliance"\n', "lock", "has no Object Lock"),
                                         (REGION, "", "secret", "the secret key does not belong"), (REGION, "", "role", "has no role")):
        shutil.rmtree(rig.dir / "agent")
        rig.region, rig.sink_extra = region, extra
        rig.store.locked = mistake != "lock"
        key = role.renew(3600)
        if mistake == "secret":
            rig.store.keys[key] = "another", rig.store.keys[key][1]
        if mistake == "role":
            rig.imds.answers = {}
        rig.begin()
        rig.problem(text)
        rig.agent.stop()
        rig.agent = None


def main():
    with SinkRig("sink") as rig, Imds() as imds, Store(BUCKET, REGION) as store:
        rig.imds, rig.store = imds, store
        role = Role(imds, store)
        check_config(rig)
        a, b = rig.namespaces()
        server = rig.spawn(*b.command(sys.executable, HERE / "echo_server.py", TCP, UDP, PORT))
        wait_until("server", lambda: "ready" in server.log.read_text(), 20)
        made = play(rig, role, a)
        check_objects(store)
        folder = rig.dir / "evidence"
        store.sync(folder)
        check_wrong_setup(rig, role)
        check_import(rig, folder)
        check_damage(rig, folder)
        check_answers(rig, made)


if __name__ == "__main__":
    main()
