# SPDX-License-Identifier: Apache-2.0
"""What looks like an attack to detection_live.py and is none. Each function returns once it is over."""
import random

from live_attacks import SQUID, UPLOAD
from live_field import FAR, REDIS, TLS, WEB, port_of_run
from live_mirror import apt_lists_and_packages, apt_over_mirrors, apt_upgrade

FETCH = ("import sys,time,urllib.request\nfor a in sys.argv[3:]:\n urllib.request.urlopen(f'http://{a}:9200/{sys.argv[1]}').read(); "
         "time.sleep(float(sys.argv[2]))\n")
BUSY = "import time\nend=time.monotonic()+6\nwhile time.monotonic()<end: sum(range(10000))\n"
CLOCK = ("import socket,sys,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\nfor n in range(40):\n s.sendto(b'\\x23'+b'\\0'*47,(sys.argv[1+n%4],123)); "
         "s.recv(100); time.sleep(0.2)\n")
STREAM = """import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", int(sys.argv[1])))
_, client = sock.recvfrom(2048)
sock.setblocking(False)
for n in range(12000):
    sock.sendto(b"r" * 1200, client)
    try: sock.recv(2048)
    except BlockingIOError: pass
    if n % 20 == 0: time.sleep(0.01)
"""
# As a page does: forty names, some connections each, six at a time.
BROWSER = """import concurrent.futures, random, ssl, sys, urllib.request
context = ssl._create_unverified_context()
def get(address): return len(urllib.request.urlopen(f"https://{address}/{random.randint(500, 60000)}", context=context).read())
with concurrent.futures.ThreadPoolExecutor(6) as pool: list(pool.map(get, [a for a in sys.argv[1:] for _ in range(random.randint(1, 4))]))
"""
# Twenty places at once, and then time to read; three pages.
PAGES = """import concurrent.futures, sys, time, urllib.request
def get(address): return len(urllib.request.urlopen(f"http://{address}:9200/20000").read())
with concurrent.futures.ThreadPoolExecutor(20) as pool:
    for page in range(1, 61, 20):
        list(pool.map(get, sys.argv[page:page + 20]))
        for _ in range(5): time.sleep(1); get(sys.argv[page])
"""
# Some targets are down, round after round.
SCRAPE = """import sys, time, urllib.request
for _ in range(3):
    for n, address in enumerate(sys.argv[1:]):
        try: urllib.request.urlopen(f"http://{address}:{9199 if n % 10 == 9 else 9200}/3000").read()
        except OSError: pass
    time.sleep(1)
"""
RETRIES = """import socket, sys, time
for _ in range(200):
    try: socket.create_connection((sys.argv[1], 9199)).close()
    except OSError: time.sleep(0.02)
"""
# A program that keeps no connection to its database.
LOOKUPS = """import random, socket, sys, time
for _ in range(120):
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as s:
        s.sendall(b"GET key:%d\\r\\n" % random.randint(1, 9999)); s.recv(200)
    time.sleep(0.05)
"""
# Clients that speak first, each from an address of its own; what is sent to them takes as long as it takes.
MEDIA = """import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", int(sys.argv[1])))
clients = [sock.recvfrom(2048)[1] for _ in range(int(sys.argv[2]))]
rate, packets = int(sys.argv[3]), int(sys.argv[4])
began = time.monotonic()
for n in range(packets):
    sock.sendto(b"q" * 1200, clients[n % len(clients)])
    late = n / rate - (time.monotonic() - began)
    if late > 0.005: time.sleep(late)
"""
VIEWERS = """import select, socket, sys, time
server = (sys.argv[1], int(sys.argv[2]))
socks = []
for address in sys.argv[3:]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, 0)); sock.sendto(b"h" * 1200, server); socks.append(sock)
told = time.monotonic()
while (ready := select.select(socks, [], [], 2)[0]):
    for sock in ready: sock.recv(2048)
    if time.monotonic() - told > 0.5:
        told = time.monotonic()
        for sock in socks: sock.sendto(b"report" * 10, server)
"""
LISTENER = """import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(2)
sock.sendto(b"hello", (sys.argv[1], int(sys.argv[2])))
try:
    n = 0
    while sock.recv(2048):
        n += 1
        if n % 50 == 0: sock.sendto(b"report" * 10, (sys.argv[1], int(sys.argv[2])))
except TimeoutError: pass
"""
NGINX = """daemon off; master_process off; pid {dir}/nginx.pid; error_log /dev/null; worker_rlimit_nofile 1024;
events {{ worker_connections 256; }}
http {{ access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
upstream far {{ {nginx} }}
server {{ listen {port}; location / {{ proxy_pass http://far; }} }} }}
"""
HAPROXY = """defaults
  mode {mode}
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen front
  bind 0.0.0.0:{port}
{haproxy}
"""


def python(text, *arguments):
    return lambda field: field.python(text, *arguments).process.wait(180)


def shell(command):
    return lambda field: field.login(command(field)).process.wait(180)


def front(command, config, servers, **more):
    """A reverse proxy in front of `servers`, which the far side asks 24 times for 200 kB."""
    def start(field):
        port = port_of_run()
        path = field.file("front.conf", config.format(
            port=port, dir=field.rig.dir, nginx=" ".join(f"server {a}:{WEB};" for a in servers),
            haproxy="\n".join(f"  server s{n} {a}:{WEB}" for n, a in enumerate(servers)), **more))
        daemon = field.service(*command.format(config=path).split())
        field.listening(port, daemon)
        field.fetch([port] * 24, 200_000)
        daemon.stop(5)
    return start


def proxy_for_itself(field):
    """squid for its own network, which is this host."""
    port = port_of_run()
    config = field.file("squid.conf", SQUID.format(port=port, dir=field.rig.dir))
    daemon = field.service("squid", "-N", "-f", config)
    field.listening(port, daemon)
    for address in random.sample(FAR, 8):
        field.inside.run("curl", "-sf", "-m", "30", "-o", "/dev/null", "--proxytunnel", "--proxy", f"127.0.0.1:{port}", f"http://{address}:{WEB}/300000")
    daemon.stop(5)


def stream(field):
    port = port_of_run()
    daemon = field.service("python3", "-c", STREAM, port)
    field.listening(port, daemon, "u")
    field.outside.run("python3", "-c", LISTENER, field.inside.v4, port)
    daemon.stop(5)


def media(clients, rate, packets):
    """A server of datagrams: each client asks once and reports now and then, as with QUIC and RTP."""
    def start(field):
        port = port_of_run()
        daemon = field.service("python3", "-c", MEDIA, port, clients, rate, packets)
        field.listening(port, daemon, "u")
        field.outside.run("python3", "-c", VIEWERS, field.inside.v4, port, *FAR[:clients])
        daemon.stop(5)
    return start


FILES = """daemon off; master_process on; pid {dir}/files.pid; error_log /dev/null; worker_processes 2; worker_rlimit_nofile 1024;
events {{ worker_connections 256; }}
http {{ access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
server {{ listen {port}; root {dir}/files; }} }}
"""


def downloads(field):
    """Of large files, by four clients at once, from nginx."""
    port = port_of_run()
    files = field.rig.dir / "files"
    files.mkdir(exist_ok=True)
    with open(files / "large", "wb") as large:
        large.truncate(300_000_000)
    daemon = field.service("nginx", "-c", field.file("files.conf", FILES.format(port=port, dir=field.rig.dir)))
    field.listening(port, daemon)
    curl = f"curl -sf -m 50 -o /dev/null http://{field.inside.v4}:{port}/large"
    field.outside.run("sh", "-c", " & ".join(f"{curl} --interface {a}" for a in FAR[:4]) + " & wait")
    daemon.stop(5)


def orders(field):
    """What a configuration tool does: a command on each of twenty hosts."""
    return f"for a in {' '.join(FAR[:20])}; do ssh {field.ssh_options()} root@$a 'uname -a; head -c 3000 /etc/services' > /dev/null; done"


def playbook(field):
    """The same five hosts at a time, a file before it, as Ansible does."""
    script = field.file("task.sh", "#!/bin/sh\nuname -a\n" + "# a module\n" * 4000)
    put = f"echo put {script} /dev/null | sftp -b - {field.ssh_options().replace('-p 22', '-P 22')} root@$0 > /dev/null 2>&1"
    return f"echo {' '.join(FAR[20:40])} | xargs -n 1 -P 5 sh -c '{put}; ssh {field.ssh_options()} root@$0 \"sh -c true; uname -a\" > /dev/null'"


def restic(megabytes):
    """A repository behind the far sshd's sftp."""
    def command(f):
        data, name = f"{f.rig.dir}/restic-data", f"{f.rig.dir}/restic-{random.getrandbits(40)}"
        remote = f"ssh {f.ssh_options()} root@203.0.113.42 -s sftp"
        flags = f"RESTIC_PASSWORD=secret restic --no-cache -q -o sftp.command='{remote}' -r sftp:root@203.0.113.42:{name}"
        return (f"mkdir -p {data}; head -c {megabytes}M /dev/urandom > {data}/all; {flags} init && {flags} backup {data} && "
                f"head -c 2M /dev/urandom > {data}/more && {flags} backup {data}; rm -rf {name}")
    return command


def backup(megabytes):
    return shell(lambda f: f"mkdir -p {f.rig.dir}/data{megabytes}; head -c {megabytes}M /dev/urandom > {f.rig.dir}/data{megabytes}/all; "
                           f"rsync -a {f.rig.dir}/data{megabytes} rsync://203.0.113.40/backup/")


# name: (tool, what is done)
HONEST = {
    "downloads of 5 MB": ("python3", python(FETCH, 5_000_000, 0.3, *FAR[:6])),
    "fan-out of a browser": ("python3", python(FETCH, 40_000, 0.02, *FAR)),
    "scrape of five targets": ("python3", python(FETCH, 3000, 0.2, *(FAR[:5] * 8))),
    "load on one server": ("python3", python(FETCH, 200, 0, *(FAR[:1] * 400))),
    "upload of 100 MB": ("python3", python(UPLOAD, FAR[0], 100)),
    "CI runner at full CPU": ("python3", python(BUSY + FETCH, 2_000_000, 0.1, *FAR[:8])),
    "clock of four servers": ("python3", python(CLOCK, *FAR[:4])),
    "UDP stream to a client": ("python3", stream),
    "a command on 20 hosts": ("ssh", shell(orders)),
    "git clone": ("git", shell(lambda f: f"rm -rf {f.rig.dir}/clone; git clone -q git://203.0.113.41/some.git {f.rig.dir}/clone")),
    "rsync of 50 MB": ("rsync", backup(50)),
    "nginx, three upstreams": ("nginx", front("nginx -c {config}", NGINX, FAR[:3])),
    "nginx, eight upstreams": ("nginx", front("nginx -c {config}", NGINX, FAR[:8])),
    "haproxy, eight, HTTP": ("haproxy", front("haproxy -db -f {config}", HAPROXY, FAR[:8], mode="http")),
    "haproxy, eight, TCP": ("haproxy", front("haproxy -db -f {config}", HAPROXY, FAR[:8], mode="tcp")),
    "squid for its own host": ("squid", proxy_for_itself),
    # Worth a look: a first backup is what a theft looks like from outside. It may be told, as no more than medium.
    "fan-out of a browser, TLS": ("python3", python(BROWSER, *FAR[:40])),
    "pages of a browser": ("python3", python(PAGES, *FAR)),
    "scrape of 50, five down": ("python3", python(SCRAPE, *FAR[:50])),
    "retries at a dead server": ("python3", python(RETRIES, FAR[0])),
    "short lookups at Redis": ("python3", lambda f: f.service("python3", "-c", LOOKUPS, FAR[0], REDIS).process.wait(180)),
    "load by wrk": ("wrk", shell(lambda f: f"wrk -t 2 -c 64 -d 6s http://{FAR[0]}:{WEB}/2000 > /dev/null")),
    "load by ab": ("ab", shell(lambda f: f"ab -q -n 1500 -c 30 http://{FAR[1]}:{WEB}/2000 > /dev/null")),
    "load by ab, TLS": ("ab", shell(lambda f: f"ab -q -n 300 -c 10 https://{FAR[1]}:{TLS}/2000 > /dev/null")),
    "ping of 40 hosts": ("ping", shell(lambda f: f"for a in {' '.join(FAR[:40])}; do ping -q -n -c 2 -i 0.05 -W 1 $a > /dev/null; done")),
    "traceroute to a silent net": ("traceroute", lambda f: f.service("timeout", "20", "traceroute", "-n", "-w", "0.5", "-N", "48", "198.51.100.9").process.wait(180)),
    "QUIC server, eight clients": ("python3", media(8, 3000, 18_000)),
    "video at 9,000 packets/s": ("python3", media(4, 9000, 54_000)),
    "downloads from nginx": ("nginx", downloads),
    "a playbook on 20 hosts": ("ssh", shell(playbook)),
    "apt: lists and packages": ("apt-get", apt_lists_and_packages),
    "apt: upgrade": ("apt-get", apt_upgrade),
    "apt: over mirrors": ("apt-get", apt_over_mirrors),
    "restic of 40 MB": ("restic", shell(restic(40))),
    "first backup of 600 MB": ("rsync", backup(600)),
    "first restic of 600 MB": ("restic", shell(restic(600))),
}
