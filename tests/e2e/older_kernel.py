#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What stands in on a kernel before 6.3, which has no sock_send_length, and what SCTP is charged with. Runs inside the
guest that 70_kernel_6_1.py boots.

older_kernel.py [REGEX]: only the cases whose name matches."""
import importlib
import json
import sys

from harness import HERE, Rig, check, note, wait_until

attribution = importlib.import_module("10_attribution")
SCTP_ONE, SCTP_MANY = 7301, 7302
ABSENT = {"sock_send_length", "sock_recv_length"}
SCTP_HEADERS = {attribution.V4: 20 + 12, attribution.V6: 40 + 12}


def says_what_is_absent(rig):
    fidelity = rig.agent_status()["fidelity"]
    hooks = {h["name"]: h for h in fidelity["hooks"]}
    absent = {name: h["note"] for name, h in hooks.items() if not h["active"]}
    check(set(absent) == ABSENT, f"absent: {absent}")
    for name, text in absent.items():
        check(f"no tracepoint {name};" in text, f"{name}: {text}")
    check("sendmsg4/6" in absent["sock_send_length"], f"no stand-in named: {absent['sock_send_length']}")
    check(hooks["sendmsg4"]["active"] and hooks["sendmsg6"]["active"], "sendmsg4/6 do not stand in")
    check(fidelity["owner_mode"] == "creator", f"owner mode {fidelity['owner_mode']}")
    host = rig.host()
    check(set(host["missing_hooks"]) == ABSENT and host["fidelity"].startswith("creator;"), f"at the collector: {host}")


def udp_sender(suite, a):
    """Two processes send through one unconnected socket: each is charged with its own datagrams."""
    program = ("import socket,os,time\n"
               "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('0.0.0.0',0)); s.settimeout(20)\n"
               f"def swap(n):\n s.sendto(b'u'*n,('{attribution.V4}',{attribution.UDP})); s.recv(65536)\n"
               "swap(400)\n"
               "child=os.fork()\n"
               "if not child:\n swap(900); os._exit(0)\n"
               "assert os.waitpid(child,0)[1]==0\n"
               "print(os.getpid(),child,s.getsockname()[1])\n")
    parent, child, local = (int(v) for v in a.run(sys.executable, "-c", program).stdout.split())
    flows = wait_until("both senders", lambda: attribution.parts_of(suite, attribution.UDP, local, 1300), 25)
    by_pid = {f["pid"]: f["tx_payload_bytes"] for f in flows}
    check(by_pid == {parent: 400, child: 900}, f"payload by pid {by_pid}, expected {parent}: 400, {child}: 900")


def tcp_creator(suite, a, binary):
    """The kernel does not tell who sends on a connected socket: its creator is charged, and the flow says so."""
    result = json.loads(a.run(binary, "fork-tcp", attribution.V4, attribution.TCP, 4000, 9000).stdout)
    flows = wait_until("the flow", lambda: attribution.parts_of(suite, attribution.TCP, result["local_port"], 13000), 25)
    flow = attribution.only(flows, "fork-tcp")
    check(flow["pid"] == result["pid"], f"charged to {flow['pid']}, created by {result['pid']}")
    check("owner_by_creator" in flow["flags"], f"flags {flow['flags']}")


def sctp(suite, a, binary, servers, style, remote):
    """Owner, addresses, ports and exact wire bytes of an association, seen from both ends."""
    count, size = 40, 900
    port = SCTP_MANY if style == "many" else SCTP_ONE
    deltas = []
    with suite.interface_delta(a, deltas):
        result = json.loads(a.run(binary, style, remote, port, count, size).stdout)
    check(result["tx"] == result["rx"] == count * size, f"echo incomplete: {result}")
    local, headers = result["local_port"], SCTP_HEADERS[remote]
    flow = attribution.only(suite.outbound(remote, port, local, protocol="sctp"), f"sctp {style}")
    check((flow["tx_wire_bytes"], flow["rx_wire_bytes"]) == (deltas[0], deltas[2]),
          f"wire {flow['tx_wire_bytes']} {flow['rx_wire_bytes']}, the interface counted {deltas}")
    for way in ("tx", "rx"):
        chunks = flow[f"{way}_wire_bytes"] - headers * flow[f"{way}_packets"]
        check(chunks == flow[f"{way}_payload_bytes"] > count * size, f"{way}: {flow}")
    suite.check_process(flow, result["pid"], binary, [style, remote], "root")

    def server_side():
        rows = [f for f in suite.rig.flows("--local-port", port) if f["remote_port"] == local and f["direction"] == "in"]
        tx, rx = (sum(f[f"{way}_wire_bytes"] for f in rows) for way in ("tx", "rx"))
        check((rx, tx) == (flow["tx_wire_bytes"], flow["rx_wire_bytes"]), f"server rx {rx} tx {tx}, client {flow}")
        return rows
    rows = wait_until("the server's mirror image", server_side, 25)
    server = servers[style]
    heavy = [f for f in rows if f["rx_payload_bytes"] > count * size]
    check([f["pid"] for f in heavy] == [server["child"] or server["pid"]], f"served by {server}: {rows}")
    # One that the first look at all sockets met between two owners carries nothing, and says that it does not know.
    carrying = [f for f in rows if f["rx_payload_bytes"] + f["tx_payload_bytes"] > 0]
    check({f["pid"] for f in carrying} <= {server["pid"], server["child"]}, f"pids: {rows}")


def sctp_super_packets(suite, a, b, binary):
    """Where the stack hands whole trains of packets to the device, wire bytes have the headers of each."""
    for end in (a, b):
        end.run("ethtool", "-K", end.interface, "tx-sctp-segmentation", "on")
    count, size = 12, 60_000
    deltas = []
    with suite.interface_delta(a, deltas):
        result = json.loads(a.run(binary, "one", attribution.V4, SCTP_ONE, count, size).stdout)
    flow = attribution.only(suite.outbound(attribution.V4, SCTP_ONE, result["local_port"]), "sctp super-packets")
    saved = flow["tx_packets"] - deltas[1]
    note(f"        {flow['tx_packets']} packets, {deltas[1]} handed to the interface")
    check(saved > 0, "no super-packets")
    check(flow["tx_wire_bytes"] == deltas[0] + 32 * saved, f"wire {flow['tx_wire_bytes']}, interface {deltas}, saved {saved}")


def start_sctp(rig, b, binary):
    servers = {}
    for style, port in (("one", SCTP_ONE), ("many", SCTP_MANY)):
        server = rig.spawn(*b.command(binary, "serve", style, port), log=f"sctp-{style}.log")
        wait_until("sctp server", lambda server=server: "pid" in server.log.read_text())
        servers[style] = json.loads(server.log.read_text())
    return servers


def main():
    with Rig("older") as rig:
        suite = attribution.Suite(rig, *sys.argv[1:2])
        talk, binary = rig.compile("talk", "-static"), rig.compile("sctp", "-static")
        a, b = rig.namespaces()
        for end in (a, b):
            end.run("ethtool", "-K", end.interface, "tx-sctp-segmentation", "off", check=False)
        server = rig.spawn(*b.command(sys.executable, HERE / "echo_server.py", attribution.TCP, attribution.UDP, 8080),
                           log="server.log")
        wait_until("echo server", lambda: "ready" in server.log.read_text())
        rig.start_collector()
        log = rig.dir / "auth.log"  # the guest has none, which would be told beside the hooks
        log.touch()
        rig.agent_extra += f'[logins]\nfiles = ["{log}"]\n'
        rig.start_agent()
        servers = start_sctp(rig, b, binary)
        suite.case("exactly what this kernel lacks is reported, with what stands in", lambda: says_what_is_absent(rig))
        suite.case("the sender of an unconnected datagram is charged", lambda: udp_sender(suite, a))
        suite.case("a forked child's bytes on a TCP socket are its creator's", lambda: tcp_creator(suite, a, talk))
        for remote in (attribution.V4, attribution.V6):
            for style in ("one", "many"):
                suite.case(f"sctp, one-to-{style}, to {remote}", lambda: sctp(suite, a, binary, servers, style, remote))
        suite.case("sctp in super-packets", lambda: sctp_super_packets(suite, a, b, binary))
        suite.finish()


if __name__ == "__main__":
    main()
