#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with the surroundings has a message of its own with the remedy, and a non-zero exit or a degraded mode
that shows in the status and at the collector."""
import re
import shutil
import socket
import subprocess
import sys
import time

import clog
from harness import BIN, Failure, Rig, check, free_port, note, run, wait_until

AGENT, COLLECTOR = BIN / "culprit-agent", BIN / "culprit-collector"


def expect(what, command, code, *patterns, seconds=20):
    """The command ends with `code` (None: any but 0) and its output matches every pattern."""
    try:
        done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=seconds, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{what}: still running after {seconds} s:\n{(error.stdout or b'').decode()[-1500:]}") from error
    check(done.returncode != 0 and code in (None, done.returncode), f"{what}: exit {done.returncode}\n{done.stdout}")
    for pattern in patterns:
        check(re.search(pattern, done.stdout, re.I | re.S), f"{what}: no '{pattern}' in:\n{done.stdout}")
    said = [line for line in done.stdout.splitlines() if line.strip()]
    note(f"ok      {what}: exit {done.returncode}: {said[-1][:200] if said else ''}")


def agent_command(rig):
    return [AGENT, "run", "--config", rig.write_agent_config()]


# --- the agent's surroundings ------------------------------------------------------------------------------------------------
def not_root(rig):
    public = rig.dir / "public"
    public.mkdir()
    for name in ("culprit-agent", "culprit-agent-sender", "culprit-agent-parser"):
        shutil.copy(BIN / name, public)
    public.chmod(0o755)
    state = rig.dir / "nobody"
    state.mkdir()
    shutil.chown(state, 65534, 65534)
    expect("not root", ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", public / "culprit-agent", "run",
                        "--data", state, "--collector", "127.0.0.1:1"], 4, "root")


def no_capability(rig):
    expect("root without CAP_BPF and CAP_SYS_ADMIN",
           ["setpriv", "--bounding-set=-bpf,-sys_admin,-perfmon", *agent_command(rig)], None, "CAP_")


def no_btf(rig):
    expect("no BTF", ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh",
                      *agent_command(rig)], None, "BTF", "CONFIG_DEBUG_INFO_BTF")


def no_cgroup(rig):
    expect("no cgroup2 mount",
           ["unshare", "-m", "sh", "-c",
            "for m in $(awk '{ for (i = 1; i <= NF; i++) if ($i == \"-\" && $(i + 1) == \"cgroup2\") print $5 }' "
            '/proc/self/mountinfo | sort -r); do umount -l "$m"; done; exec "$@"', "sh", *agent_command(rig)],
           None, "cgroup2?", "mount")


def bad_agent_config(rig):
    path = rig.dir / "bad-agent.toml"
    path.write_text('state_dir = "/tmp/x"\n[spool]\nmax_byte = 5\nsegment_bytes = "many"\n')
    expect("agent: unknown key and wrong type", [AGENT, "check-config", "--config", path], 3,
           r"bad-agent.toml:3.*max_byte", r"bad-agent.toml:4.*segment_bytes", "expected")


def second_agent(rig):
    rig.start_agent(wait=False)
    wait_until("agent at work", lambda: rig.agent_status()["pid"] == rig.agent.pid, 30)
    expect("a second agent on the same state directory", agent_command(rig), None, "lock|running")
    rig.agent.stop()


# --- the collector's surroundings ----------------------------------------------------------------------------------------------
def bad_collector_config(rig):
    path = rig.dir / "bad-collector.toml"
    path.write_text('listen = 5\n[journal]\nsegment_byte = 1\n')
    expect("collector: unknown key and wrong type", [COLLECTOR, "check-config", "--config", path], 2,
           r"bad-collector.toml:1.*listen", r"bad-collector.toml:3.*segment_byte", "expected")


def port_in_use(rig):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        expect("port in use", [COLLECTOR, "run", "--config", rig.write_collector_config(), "--listen",
                               f"127.0.0.1:{port}"], None, str(port), "in use")


def not_initialised(rig):
    expect("not initialised", [COLLECTOR, "run", "--dir", rig.dir / "fresh", "--pki", rig.dir / "no-pki", "--listen",
                               f"127.0.0.1:{free_port()}"], None, "culprit-collector init")


def small_disk(rig, name):
    place = rig.dir / name
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", place)
    rig.cleanups.append(lambda: run("umount", "-l", place))
    return place


def fill(place, leave=0):
    free = shutil.disk_usage(place).free - leave
    (place / "ballast").write_bytes(b"\0" * max(0, free))


def collector_disk_full(rig):
    """The collector refuses, says so, and takes everything once there is space again."""
    place = small_disk(rig, "small")
    rig.start_collector(place)
    rig.start_agent()
    fill(place)
    make_noise(200)
    wait_until("the collector says that its disk is full", lambda: any(
        re.search("nothing is accepted.*space", d, re.I) for d in rig.status()["degraded"]), 30)
    check(rig.collector.alive() and rig.agent.alive(), "a daemon ended")
    note(f"ok      disk full under the journal: {rig.status()['degraded']}")
    (place / "ballast").unlink()
    wait_until("acknowledged again", lambda: waiting(rig) == 0, 60, 0.5)
    note("ok      space again: everything acknowledged")
    rig.agent.stop()
    rig.collector.stop()


def waiting(rig):
    lanes = rig.agent_status()["spool"]["lanes"].values()
    return sum(lane["newest_seq"] - lane["acked_seq"] for lane in lanes)


def agent_disk_full(rig):
    place = small_disk(rig, "agent-small")
    rig.agent_state = place
    rig.start_collector()
    rig.start_agent()
    fill(place)

    def told():
        return [d for d in rig.agent_status()["degraded"] if re.search("disk|space|spool", d, re.I)]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not told():
        make_noise(100)
    check(told(), f"degraded: {rig.agent_status()['degraded']}")
    note(f"ok      disk full under the spool: {told()}")
    (place / "ballast").unlink()
    wait_until("fit again", lambda: not rig.agent_status()["degraded"], 30, 0.5)
    wait_until("loss at the collector", lambda: rig.host()["lost_frames"] or rig.host()["lost_events"], 30, 0.5)
    note(f"ok      space again: {rig.host()['lost_frames']} frames, {rig.host()['lost_events']} events declared lost")
    rig.agent.stop()
    rig.collector.stop()


def make_noise(count):
    """Short connections on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for _ in range(count):
            with socket.create_connection(listener.getsockname()):
                listener.accept()[0].close()


# --- certificates and clocks ------------------------------------------------------------------------------------------------------
def refused_with(rig, what, pattern):
    """An agent that cannot connect goes on, and its status says why."""
    rig.start_collector()
    rig.start_agent(wait=False)

    def reason():
        status = rig.agent_status()["collector"]
        return status["last_error"] if re.search(pattern, status["last_error"], re.I) else None
    said = wait_until(f"status that says '{pattern}'", reason, 30, 0.3)
    note(f"ok      {what}: {said[:200]}")
    rig.agent.stop()
    rig.collector.stop()


def foreign_certificate(rig):
    other = rig.dir / "other-pki"
    run(COLLECTOR, "init", "--dir", other)
    run(COLLECTOR, "issue", "agent", "stranger", "--pki", other, "--out", rig.dir / "stranger")
    mine, rig.credentials = rig.credentials, rig.dir / "mixed"
    shutil.copytree(rig.dir / "stranger", rig.credentials)
    shutil.copy(rig.pki / "ca.pem", rig.credentials / "ca.pem")
    expect("certificate of another authority", agent_command(rig), None, "not signed by this CA")
    rig.credentials = rig.dir / "stranger"
    refused_with(rig, "collector of another authority", "certificate|tls|handshake|ssl")
    rig.credentials = mine


def expired_certificate(rig):
    """Signed with the test's own CA by openssl, valid in the past."""
    mine, rig.credentials = rig.credentials, rig.dir / "expired"
    shutil.copytree(mine, rig.credentials)
    work = rig.dir / "ca-work"
    work.mkdir()
    (work / "index").write_text("")
    (work / "ca.conf").write_text(
        f"[ca]\ndefault_ca=d\n[d]\ndatabase={work}/index\nnew_certs_dir={work}\nrand_serial=yes\ndefault_md=sha256\n"
        "policy=p\nx509_extensions=x\n[p]\ncommonName=supplied\n[x]\nextendedKeyUsage=clientAuth\n"
        "keyUsage=digitalSignature\nsubjectAltName=URI:spiffe://culprit/agent/00000000-0000-4000-8000-000000000001\n")
    run("openssl", "req", "-new", "-key", mine / "agent.key", "-subj", "/CN=late", "-out", work / "req.pem")
    run("openssl", "ca", "-batch", "-notext", "-config", work / "ca.conf", "-cert", rig.pki / "ca.pem", "-keyfile",
        rig.pki / "ca.key", "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-in", work / "req.pem",
        "-out", rig.credentials / "agent.pem")
    config = rig.write_agent_config()
    expect("expired certificate: check-config", [AGENT, "check-config", "--config", config], 3, "expired")
    refused_with(rig, "expired certificate", "expired")
    rig.credentials = mine


def skewed_clock(rig):
    library = rig.compile("skewed_clock", "-shared", "-fPIC")
    rig.start_collector()
    config = rig.write_agent_config()
    agent = rig.spawn("env", f"LD_PRELOAD={library}", "SKEW_SECONDS=1800", AGENT, "run", "--config", config)
    host = wait_until("host with a wrong clock", lambda: [
        h for h in rig.query("hosts") if abs(int(h["clock_skew_ns"]) - 1800e9) < 60e9 and int(h["records"]) > 0], 30)[0]
    note(f"ok      clock half an hour ahead: accepted, skew {int(host['clock_skew_ns']) / 1e9:.1f} s, "
         f"{host['records']} records, {host['rejected']} rejected")
    check(int(host["rejected"]) == 0, "records refused for their time")
    agent.stop()
    rig.collector.stop()


# --- damage --------------------------------------------------------------------------------------------------------------------------
def damaged_spool(rig):
    """A flipped bit and a torn end in the spool: reported with the bytes lost, and the rest is read."""
    shutil.rmtree(rig.dir / "agent", ignore_errors=True)
    rig.start_agent(wait=False)
    wait_until("agent at work", lambda: rig.agent_status()["pid"] == rig.agent.pid, 30)
    for _ in range(8):
        make_noise(50)
        time.sleep(0.4)
    rig.agent.kill()
    segment = sorted((rig.dir / "agent" / "spool").glob("evidence-*.clog"))[0]
    frames = clog.read_segment(segment, [])
    check(len(frames) > 5, f"only {len(frames)} frames")
    data = bytearray(segment.read_bytes())
    victim = frames[2]
    data[victim.offset + clog.OVERHEAD + 5] ^= 0x10
    segment.write_bytes(bytes(data[:-7]))
    shutil.rmtree(rig.dir / "collector", ignore_errors=True)
    rig.start_collector()
    rig.start_agent()
    wait_until("drained", lambda: waiting(rig) == 0, 30, 0.3)
    host = wait_until("loss declared", lambda: rig.host()["lost_frames"] and rig.host(), 30, 0.5)
    log = rig.agent.log.read_text()
    check(re.search("corrupt|damaged|torn", log), "the agent's log says nothing")
    rig.agent.stop()
    rig.collector.stop()
    problems = []
    journal = clog.read_journal(rig.dir / "collector" / "journal", problems)
    seqs = [f.seq for _, f in journal if f.lane == 0 and f.stream == frames[0].stream]
    missing = sorted({f.seq for f in frames} - set(seqs))
    note(f"ok      damaged spool: {missing} of {len(frames)} frames missing, {host['lost_frames']} declared, {host['gaps']} gaps")
    check(not problems and missing and set(missing) <= {victim.seq, frames[-1].seq}, f"missing {missing}, {problems}")


def main():
    cases = [not_root, no_capability, no_btf, no_cgroup, bad_agent_config, bad_collector_config, port_in_use, not_initialised,
             second_agent, foreign_certificate, expired_certificate, collector_disk_full, agent_disk_full, skewed_clock,
             damaged_spool]
    wanted = sys.argv[1:]
    failed = []
    for case in cases:
        if wanted and case.__name__ not in wanted:
            continue
        try:
            with Rig(f"bad-{case.__name__}") as rig:
                rig.make_certificates()
                case(rig)
        except SystemExit:
            failed.append(case.__name__)
            note(f"not ok  {case.__name__}")
    if failed:
        note(f"wrong: {' '.join(failed)}")
        sys.exit(1)


if __name__ == "__main__":
    main()
