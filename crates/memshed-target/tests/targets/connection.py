"""Accepts one connection, and closes it when told to."""

import socket
import sys

server = socket.create_server(("127.0.0.1", 0))
print("ready")
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
print("accepted", flush=True)
for line in sys.stdin:
    if line == "close\n":
        connection.close()
        print("closed", flush=True)
