# SPDX-License-Identifier: Apache-2.0
"""What looks like an attack to detection_live.py and is none. Each function returns once it is over."""
import random

from live_attacks import SQUID, UPLOAD
from live_field import FAR, WEB, port_of_run

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
    return lambda field: field.python(text, *arguments).process.wait(60)


def shell(command):
    return lambda field: field.login(command(field)).process.wait(60)


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


def orders(field):
    """What a configuration tool does: a command on each of twenty hosts."""
    ssh = f"ssh -F {field.host.dir}/ssh_config -p 22 -i {field.host.dir}/keys/client -o BatchMode=yes"
    return f"for a in {' '.join(FAR[:20])}; do {ssh} root@$a 'uname -a; head -c 3000 /etc/services' > /dev/null; done"


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
    "first backup of 600 MB": ("rsync", backup(600)),
}
