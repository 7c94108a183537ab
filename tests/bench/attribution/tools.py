# SPDX-License-Identifier: Apache-2.0
"""Other tools of Debian beside Culprit: each watches one more trial of a scenario, and its output is searched for the
generators' processes. Packages: section [compare] of deploy/packages.txt. A tool that is missing or does not start is
reported so; what a tool does not claim to count (bytes) is shown as "-"."""
import collections
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

from bench import Failure, NotHere, ratio, worst


class Tool:
    """A program that prints what it sees while a trial runs."""
    name = program = None
    counts = "payload"  # what its bytes are: "payload", or "wire" with headers
    refusal = None  # why it does not run here, once that is known
    warm_up = 3.0  # seconds until it surely watches; none of them says when
    cool_down = 2.0

    def command(self, bench):
        raise NotImplementedError

    def parse(self, text):
        """{pid: [tx bytes, rx bytes] or None where the tool does not count}."""
        raise NotImplementedError

    def missing(self):
        return None if shutil.which(self.program) else f"not installed ({self.program})"

    def begin(self, bench, _trial):
        self.output = open(bench.rig.dir / f"tool-{self.name}.log", "w+b")
        self.process = subprocess.Popen([str(c) for c in self.command(bench)], stdin=subprocess.DEVNULL, stdout=self.output,
                                        stderr=subprocess.STDOUT, start_new_session=True,
                                        env={**os.environ, "PYTHONUNBUFFERED": "1"})
        time.sleep(self.warm_up)
        if self.process.poll() is not None:
            raise NotHere(f"does not start: {self.last_line(self.text())}")

    @staticmethod
    def last_line(text):
        lines = [line for line in text.splitlines() if line.strip()]
        return lines[-1].strip()[:160] if lines else "it says nothing"

    def finish(self, _trial):
        time.sleep(self.cool_down)
        self.stop()
        self.seen = self.parse(self.text())

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def text(self):
        self.output.flush()
        self.output.seek(0)
        return self.output.read().decode(errors="replace")


class TcpLife(Tool):
    """PID COMM LADDR LPORT RADDR RPORT TX_KB RX_KB MS; bytes rounded down to KiB for each connection."""
    name, program = "tcplife", "tcplife-bpfcc"

    def command(self, _bench):
        return [self.program]

    def parse(self, text):
        seen = collections.defaultdict(lambda: [0, 0])
        for line in re.findall(r"^(\d+) .+ (\d+) (\d+) [\d.]+$", re.sub(r"[ \t]+", " ", text), re.M):
            seen[int(line[0])][0] += int(line[1]) * 1024
            seen[int(line[0])][1] += int(line[2]) * 1024
        return dict(seen)


class TcpConnect(Tool):
    """PID COMM IP SADDR DADDR DPORT; counts no bytes."""
    name, program = "tcpconnect", "tcpconnect-bpfcc"

    def command(self, _bench):
        return [self.program]

    def parse(self, text):
        return {int(pid): None for pid in re.findall(r"^(\d+) +\S+ +[46] ", text, re.M)}


class NetHogs(Tool):
    """Trace mode: PROGRAM/PID/UID SENT RECEIVED, sums in bytes (-v 2); inside the namespace, as it reads packets there."""
    name, program, counts = "nethogs", "nethogs", "wire"

    def command(self, bench):
        return bench.a.command(self.program, "-t", "-v", "2", "-d", "1", bench.a.interface)

    def parse(self, text):
        seen = {}
        for line in re.findall(r"/(\d+)/\d+\t([\d.]+)\t([\d.]+)$", text, re.M):
            if int(line[0]):
                seen[int(line[0])] = [float(line[1]), float(line[2])]
        return seen


class Sysdig(Tool):
    """Bytes that each system call of a socket returned."""
    name, program = "sysdig", "sysdig"

    def command(self, _bench):
        return [self.program, "--unbuffered", "-p", "%proc.pid %evt.is_io_write %evt.rawres",
                "evt.dir=< and evt.is_io=true and (fd.type=ipv4 or fd.type=ipv6)"]

    def parse(self, text):
        seen = collections.defaultdict(lambda: [0, 0])
        for pid, write, result in re.findall(r"^(\d+) (true|false) (-?\d+)$", text, re.M):
            seen[int(pid)][write == "false"] += max(0, int(result))
        return dict(seen)


class Audit(Tool):
    """connect and sendto by rule; the daemon writes to a log of our own. Counts no bytes."""
    name, program = "auditd", "auditd"

    def command(self, bench):
        place = bench.rig.dir / "audit"
        place.mkdir(mode=0o750, exist_ok=True)
        (place / "auditd.conf").write_text(f"log_file = {place}/audit.log\nlog_format = RAW\nflush = NONE\nwrite_logs = yes\n"
                                           "space_left = 75\nadmin_space_left = 50\n")
        self.log = place / "audit.log"
        with contextlib.suppress(OSError):
            self.log.unlink()
        return [self.program, "-n", "-c", place]

    def begin(self, bench, trial):
        super().begin(bench, trial)
        self.rule = ["exit,always", "-F", "arch=b64", "-S", "connect", "-S", "sendto", "-S", "sendmsg", "-k", "culprit-bench"]
        done = subprocess.run(["auditctl", "-a", *self.rule], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode:
            self.stop()
            raise NotHere(f"does not start: {self.last_line(done.stdout)}")

    def finish(self, trial):
        subprocess.run(["auditctl", "-d", *self.rule], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        super().finish(trial)

    def text(self):
        with contextlib.suppress(OSError, AttributeError):
            return super().text() + self.log.read_text(errors="replace")
        return super().text()

    def parse(self, text):
        return {int(pid): None for pid in re.findall(r"type=SYSCALL .* pid=(\d+) .*key=\"culprit-bench\"", text)}


ADAPTERS = {tool.name: tool for tool in (TcpLife, TcpConnect, NetHogs, Sysdig, Audit)}


def judge(tool, trial):
    """How many of the scenario's processes the tool named, and the bytes it counts over the truth about those."""
    known = [p for p in trial.parties if p.pid in tool.seen]
    ratios = []
    counted = [(sum(tool.seen[p.pid]), p) for p in known if tool.seen[p.pid] is not None]
    if tool.counts == "wire":
        if known and len(counted) == len(trial.parties):
            ratios.append(ratio(sum(n for n, _ in counted), trial.wire[0] + trial.wire[2]))
    else:
        ratios += [ratio(n, p.tx + p.rx) for n, p in counted if p.tx is not None and p.rx is not None]
    return {"found": f"{len(known)}/{len(trial.parties)}", "bytes_ratio": worst(ratios)}


class Watch:
    """Stands in for `bench.tool` in one trial and remembers its parties."""

    def __init__(self, tool):
        self.tool, self.trial = tool, None

    def begin(self, bench, trial):
        if self.trial is None:
            self.tool.begin(bench, trial)
            self.trial = trial

    def finish(self, trial):
        if trial is self.trial:
            self.tool.finish(trial)


def watch(bench, tool, function):
    tool.refusal = tool.refusal or tool.missing()
    if tool.refusal:
        return {"found": "no", "why": tool.refusal}
    bench.tool = Watch(tool)
    try:
        function(bench)
        return judge(tool, bench.tool.trial)
    except NotHere as error:
        tool.refusal = str(error)
        return {"found": "no", "why": tool.refusal}
    except (Failure, OSError, ValueError, KeyError, IndexError, AttributeError) as error:
        return {"found": "error", "why": str(error)[:200]}
    finally:
        with contextlib.suppress(AttributeError):
            tool.stop()
        bench.tool = None
