#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A steady load of short connections whose truth is written down: load.py ADDRESS PORT[,PORT...] PER_SECOND SECONDS OPEN

Each connection sends a number of bytes of its own to an echo server and reads them back. One JSON line for each that
was closed: ports, payload, wall-clock second of its begin and end. OPEN connections stay open besides and send a
little every second. At most 2,000 a second. Ends with SIGTERM, or after SECONDS.
"""
import json
import os
import signal
import socket
import sys
import threading
import time

STOP = threading.Event()
PRINTING = threading.Lock()


def swap(sock, size):
    sock.sendall(b"l" * size)
    got = 0
    while got < size:
        part = sock.recv(65536)
        if not part:
            raise OSError("closed by the server")
        got += len(part)


def short(address, port, size):
    began = time.time()
    sock = socket.create_connection((address, port), 10)
    local = sock.getsockname()[1]
    swap(sock, size)
    sock.close()
    with PRINTING:
        print(json.dumps({"pid": os.getpid(), "remote_port": port, "local_port": local, "bytes": size,
                          "began": began, "ended": time.time()}), flush=True)


def long_lived(address, port, index):
    sock = socket.create_connection((address, port), 10)
    while not STOP.wait(1):
        swap(sock, 500 + index)
    sock.close()


def worker(address, ports, rate, offset, workers):
    number, began = offset, time.monotonic()
    while not STOP.is_set():
        due = began + number / rate
        if STOP.wait(max(0.0, due - time.monotonic())):
            return
        short(address, ports[number % len(ports)], 100 + number % 30000)
        number += workers


def main():
    address, ports = sys.argv[1], [int(p) for p in sys.argv[2].split(",")]
    rate, seconds, open_count = min(float(sys.argv[3]), 2000.0), float(sys.argv[4]), int(sys.argv[5])
    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    workers = 4
    threads = [threading.Thread(target=worker, args=(address, ports, rate, n, workers), daemon=True)
               for n in range(workers)]
    threads += [threading.Thread(target=long_lived, args=(address, ports[0], n), daemon=True) for n in range(open_count)]
    for thread in threads:
        thread.start()
    STOP.wait(seconds)
    STOP.set()
    for thread in threads:
        thread.join(5)


if __name__ == "__main__":
    main()
