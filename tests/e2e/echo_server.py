#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Echo over TCP and UDP, and HTTP that answers /BYTES with so many bytes; IPv4 and IPv6. Ends with its parent.

echo_server.py TCP_PORT UDP_PORT HTTP_PORT   or   echo_server.py --reuseport TCP_PORT
Prints "ready", then one JSON line for each TCP connection: peer's port, bytes received and sent.
"""
import http.server
import json
import os
import socket
import socketserver
import sys
import threading

PRINTING = threading.Lock()


def say(**fields):
    with PRINTING:
        print(json.dumps({"pid": os.getpid(), **fields}), flush=True)


def dual(kind, port, reuseport=False):
    sock = socket.socket(socket.AF_INET6, kind)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuseport:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind(("::", port))
    return sock


def echo_connection(connection, peer):
    total_in = total_out = 0
    try:
        while True:
            data = connection.recv(65536)
            if not data:
                break
            total_in += len(data)
            connection.sendall(data)
            total_out += len(data)
    except OSError:
        pass
    connection.close()
    say(peer_port=peer[1], rx=total_in, tx=total_out)


def serve_tcp(port, reuseport=False):
    listener = dual(socket.SOCK_STREAM, port, reuseport)
    listener.listen(1024)
    return listener


def accept_forever(listener):
    while True:
        connection, peer = listener.accept()
        threading.Thread(target=echo_connection, args=(connection, peer), daemon=True).start()


def echo_datagrams(sock):
    while True:
        data, peer = sock.recvfrom(65536)
        sock.sendto(data, peer)


class Http(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"x" * int(self.path.strip("/") or 0)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args):
        pass


class HttpServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    address_family = socket.AF_INET6
    daemon_threads = True


def main():
    if sys.argv[1] == "--reuseport":
        listener = serve_tcp(int(sys.argv[2]), reuseport=True)
    else:
        listener = serve_tcp(int(sys.argv[1]))
        threading.Thread(target=echo_datagrams, args=(dual(socket.SOCK_DGRAM, int(sys.argv[2])),), daemon=True).start()
        server = HttpServer(("::", int(sys.argv[3])), Http)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    accept_forever(listener)


if __name__ == "__main__":
    main()
