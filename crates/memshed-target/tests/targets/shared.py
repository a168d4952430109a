"""Shares 64 MB with a child that it forked, as a preforking server does. Prints "ready", ends
with its standard input."""

import os
import sys

block = bytearray(64 << 20)
for page in range(0, len(block), 4096):
    block[page] = 1
child = os.fork()
if child == 0:
    sys.stdin.read()
    os._exit(0)
print("ready", flush=True)
sys.stdin.read()
os.waitpid(child, 0)
