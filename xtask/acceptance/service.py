"""A service with a heap of its own: service.py asyncio|threads OBJECTS

Prints "ready PORT". Each request reads from a cache, builds and drops objects, and answers JSON.
"""

import asyncio
import http.server
import json
import random
import sys

kind, objects = sys.argv[1], int(sys.argv[2])


class Session:
    def __init__(self, n):
        self.user = "user-%d" % n
        self.visits = [n, n + 1]
        self.state = {"id": n, "cart": []}


sessions = [Session(n) for n in range(objects // 5)]
recent = {}


def answer(path):
    chosen = [sessions[random.randrange(len(sessions))] for _ in range(100)]
    rows = [{"user": one.user, "visits": one.visits, "cart": len(one.state["cart"])} for one in chosen]
    for one in chosen[:5]:
        one.state["cart"] = [path, len(rows)]
    recent[random.randrange(2000)] = rows
    return json.dumps({"path": path, "rows": rows}).encode()


async def serve(reader, writer):
    try:
        while line := await reader.readline():
            while (await reader.readline()).strip():
                pass
            body = answer(line.split()[1].decode())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


async def serve_forever():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def do_GET(self):
        body = answer(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


if kind == "asyncio":
    asyncio.run(serve_forever())
else:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print("ready", server.server_address[1], flush=True)
    server.serve_forever()
