# SPDX-License-Identifier: Apache-2.0
"""The ground of detection_live.py: a host with sshd that is entered, and an outside with sixty addresses, their servers and a second sshd."""
import os
import random
import sys

from harness import run, wait_until
from sshd_host import SshHost

WEB, SINK, SMTP, IPERF, ECHO, RSYNC, GIT, TLS, POOL, REDIS = 9200, 9100, 25, 9201, 9300, 873, 9418, 443, 3333, 6379
FAR = [f"203.0.113.{n}" for n in range(1, 61)]
SERVERS = """
import http.server, socket, socketserver, ssl, sys, threading
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, body):
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_GET(self): self.answer(b"w" * int(self.path.rsplit("/", 1)[1] or 1))
    def do_PUT(self):
        while True:
            size = int(self.rfile.readline(), 16)
            left = size + 2
            while left: left -= len(self.rfile.read(min(left, 1 << 20)))
            if size == 0: break
        self.answer(b"ok")
    def log_message(self, *_): pass
class Web(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True; request_queue_size = 256
def drain(conn):
    with conn:
        while conn.recv(1 << 20): pass
def sink(port):
    listener = socket.create_server(("0.0.0.0", port), backlog=256)
    while True: threading.Thread(target=drain, args=(listener.accept()[0],), daemon=True).start()
def far_udp(address, port, answer):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, port))
    while True:
        data, peer = sock.recvfrom(65536)
        sock.sendto(answer(data), peer)
def dns(query):  # the question again, and one TXT record
    text = b"t" * 100
    return query[:2] + b"\\x81\\x80\\0\\1\\0\\1\\0\\0\\0\\0" + query[12:] + b"\\xc0\\x0c\\0\\x10\\0\\1\\0\\0\\0\\0" + (len(text) + 1).to_bytes(2, "big") + bytes([len(text)]) + text
def pool(conn):  # of miners: an answer a line, and a job now and then
    with conn, conn.makefile("rw") as lines:
        for n, _ in enumerate(lines):
            lines.write('{"id":%d,"result":true,"error":null}\\n{"id":null,"method":"mining.notify","params":["%d","00"]}\\n' % (n + 1, n))
            lines.flush()
def store(conn):  # of keys: as Redis answers
    with conn:
        while conn.recv(4096): conn.sendall(b"$40\\r\\n" + b"v" * 40 + b"\\r\\n")
def serve(port, what):
    listener = socket.create_server(("0.0.0.0", port), backlog=256)
    while True: threading.Thread(target=what, args=(listener.accept()[0],), daemon=True).start()
class Tls(Web):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(sys.argv[1])
    def finish_request(self, request, peer):  # in the thread of the connection
        with self.context.wrap_socket(request, server_side=True) as conn: super().finish_request(conn, peer)
    def handle_error(self, *_): pass
for port, what in ((3333, pool), (6379, store)): threading.Thread(target=serve, args=(port, what), daemon=True).start()
threading.Thread(target=Tls(("0.0.0.0", 443), Page).serve_forever, daemon=True).start()
for port in (9100, 25): threading.Thread(target=sink, args=(port,), daemon=True).start()
for n in range(1, 21):
    for port, answer in ((9300, lambda data: data), (123, lambda data: data), (53, dns)):
        threading.Thread(target=far_udp, args=(f"203.0.113.{n}", port, answer), daemon=True).start()
Web(("0.0.0.0", 9200), Page).serve_forever()
"""


class Field:
    """The two namespaces, the servers of the far one, and the host that is entered."""

    def __init__(self, rig):
        self.rig = rig
        self.outside, self.inside = rig.namespaces()
        for address in FAR:
            self.outside.run("ip", "addr", "add", f"{address}/24", "dev", self.outside.interface)
            self.inside.run("ip", "neigh", "replace", address, "lladdr", self.outside.mac, "dev", self.inside.interface, "nud", "permanent")
        self.inside.run("ip", "route", "add", "203.0.113.0/24", "dev", self.inside.interface)
        # Where nothing answers: the far side forwards nothing.
        self.inside.run("ip", "route", "add", "198.51.100.0/24", "via", self.outside.v4)
        self.host = SshHost(rig, self.inside, self.outside)
        self.certificate = self.make_certificate()
        rig.spawn(*self.outside.command(sys.executable, "-c", SERVERS, self.certificate), log="servers.log")
        self.spawn_outside(WEB, "true")
        self.far_sshd()

    def make_certificate(self):
        path = self.rig.dir / "servers.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=example.org",
            "-keyout", path, "-out", self.rig.dir / "servers.crt")
        path.write_text(path.read_text() + (self.rig.dir / "servers.crt").read_text())
        return path

    def spawn_outside(self, port, *command):
        """A server of the far side, once it listens."""
        self.rig.spawn(*self.outside.command(*command))
        wait_until(f"a server at {port}", lambda: f":{port} " in self.outside.run("ss", "-ltn").stdout)

    def far_sshd(self):
        config = self.rig.dir / "far_sshd_config"
        config.write_text(f"Port 22\nHostKey {self.host.dir}/keys/host\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nMaxStartups 100\n"
                          f"Subsystem sftp internal-sftp\n"
                          f"AuthorizedKeysFile {self.host.dir}/keys/root_keys\n")
        self.spawn_outside(22, "/usr/sbin/sshd", "-D", "-f", config)

    def login(self, command):
        """`command` in a session of its own, which ends it."""
        return self.rig.spawn(*self.host.command("root", command, options=[*self.host.key(), "-tt"]))

    def file(self, name, text):
        path = self.rig.dir / name
        path.write_text(text)
        return path

    def python(self, text, *arguments):
        """A script in a session of its own."""
        return self.login(" ".join(["exec python3", str(self.file(f"s{abs(hash(text))}.py", text)), *map(str, arguments)]))

    def ssh_options(self):
        """Of a client on this host that goes to the far sshd."""
        return f"-F {self.host.dir}/ssh_config -p 22 -i {self.host.dir}/keys/client -o BatchMode=yes"

    def service(self, *command):
        """What the host itself runs, under no login."""
        return self.rig.spawn(*self.inside.command(*command))

    def listening(self, port, daemon, kind="t"):
        def there():
            if not daemon.alive():
                raise AssertionError(f"{daemon.command[-1]} ended:\n{daemon.tail()}")
            return f":{port} " in self.inside.run("ss", f"-l{kind}n").stdout
        wait_until(f"a listener at {port} of {daemon.command[-1]}", there, 30)

    def fetch_through(self, proxy, addresses, size=400_000):
        """By curl of the far side, from each address."""
        for address in addresses:
            self.outside.run("curl", "-sf", "-m", "30", "-o", "/dev/null", *proxy, f"http://{address}:{WEB}/{size}")

    def fetch(self, ports, size=400_000):
        """Of this host's own listeners."""
        for port in ports:
            self.outside.run("curl", "-sf", "-m", "30", "-o", "/dev/null", f"http://{self.inside.v4}:{port}/{size}")


def port_of_run():
    return random.randint(10_000, 29_999)


def have(tool):
    return any(os.access(os.path.join(folder, tool), os.X_OK) for folder in (*os.environ["PATH"].split(":"), "/usr/sbin", "/sbin"))


def start_servers_of_honest_tools(field):
    """rsync and git of the far side, where they are installed."""
    if have("rsync"):
        (field.rig.dir / "backup").mkdir()
        config = field.file("rsyncd.conf", f"use chroot = no\n[backup]\npath = {field.rig.dir}/backup\nread only = no\nuid = root\ngid = root\n")
        field.spawn_outside(RSYNC, "rsync", "--daemon", "--no-detach", f"--config={config}")
    if have("git"):
        repository = field.rig.dir / "git/some.git"
        run("git", "init", "-q", "--bare", repository)
        (field.rig.dir / "work").mkdir()
        (field.rig.dir / "work/file").write_bytes(os.urandom(5_000_000))
        work = ["git", f"--git-dir={repository}", f"--work-tree={field.rig.dir}/work", "-c", "user.name=t", "-c", "user.email=t@localhost"]
        run(*work, "add", "file")
        run(*work, "commit", "-qm", "all")
        field.spawn_outside(GIT, "git", "daemon", "--export-all", f"--base-path={field.rig.dir}/git")
    field.spawn_outside(IPERF, "iperf3", "-s", "-p", IPERF)
