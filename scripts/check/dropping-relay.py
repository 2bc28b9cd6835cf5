#!/usr/bin/env python3
"""Passes HTTP requests on to a server, and drops or stalls connections in every place.

Usage: scripts/check/dropping-relay.py SERVER ADDRESS_FILE      (SERVER: http://127.0.0.1:PORT)

Listens on a free port of 127.0.0.1 and writes the address to ADDRESS_FILE. Every second request is answered; the others
meet one fault after another, which is printed. Ends when killed, after at most ten minutes.
"""

import http.client
import itertools
import os
import pathlib
import socket
import struct
import sys
import threading
import time
import urllib.parse

FAULTS = ["request", "reset", "head", "body", "chunk", "stream", "length", "busy", "kept", "stall"]
upstream = urllib.parse.urlsplit(sys.argv[1])
# next() of a counter is one step, so threads may share it.
connections, requests, faults = itertools.count(), itertools.count(), itertools.cycle(FAULTS)


def read_request(connection, buffer):
    """The next request of a connection as method, path, body; None at its end."""
    while b"\r\n\r\n" not in buffer:
        data = connection.recv(65536)
        if not data:
            return None
        buffer += data
    head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    length = next((int(line[15:]) for line in lines if line.lower().startswith("content-length:")), 0)
    while len(rest) < length:
        rest += connection.recv(65536)
    buffer[:] = rest[length:]
    method, path, _ = lines[0].split(" ")
    return method, path, rest[:length]


def ask(method, path, body):
    """The status and the body of the server's reply."""
    server = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=300)
    server.request(method, path, body or None, {"Content-Type": "application/json"})
    reply = server.getresponse()
    return reply.status, reply.read()


def head(status, *lines):
    return "\r\n".join([f"HTTP/1.1 {status} Passed", *lines, "", ""]).encode()


def serve(connection):
    if next(connections) % 5 == 3:
        print("accept", flush=True)
        return
    buffer = bytearray()
    while (request := read_request(connection, buffer)) is not None:
        fault = next(faults) if next(requests) % 2 else "none"
        if fault != "none":
            print(fault, flush=True)
        if fault == "request":
            return
        if fault == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if fault == "busy":
            connection.sendall(head(503, "Retry-After: 1", "Content-Length: 0"))
            continue
        if fault == "head":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Ty")
            return
        status, body = ask(*request)
        half = body[: len(body) // 2]
        length = f"Content-Length: {len(body)}"
        if fault == "chunk":
            connection.sendall(head(status, "Transfer-Encoding: chunked") + b"%x\r\n" % len(body) + half)
        elif fault == "stream":
            connection.sendall(head(status, "Connection: close") + half)
        elif fault == "length":
            connection.sendall(head(status, f"Content-Length: {len(half)}") + half)
        elif fault in ("body", "stall"):
            connection.sendall(head(status, length) + half)
        else:
            connection.sendall(head(status, length) + body)
        if fault == "stall":
            connection.settimeout(60)
            connection.recv(1)
        if fault not in ("none", "length"):
            return


def run(connection):
    with connection:
        try:
            serve(connection)
        except OSError:
            pass


listener = socket.create_server(("127.0.0.1", 0))
temporary = sys.argv[2] + ".tmp"
pathlib.Path(temporary).write_text(f"http://127.0.0.1:{listener.getsockname()[1]}", encoding="utf-8")
os.replace(temporary, sys.argv[2])
listener.settimeout(600)
end = time.monotonic() + 600
while time.monotonic() < end:
    threading.Thread(target=run, args=(listener.accept()[0],), daemon=True).start()
