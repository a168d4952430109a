"""Works for a while and says "ready"; with each line that it reads, lets its extension forget 50
references, says "leaked ADDRESS" of each, works on, and says "ready" again.

    python forgetful.py FOLDER-OF-THE-EXTENSION
"""

import collections
import functools
import gc
import json
import os
import re
import sys
import threading

sys.path.insert(0, sys.argv[1])
import forgetful


class Plain:
    pass


class Slots:
    __slots__ = ("a", "b")


climbing = [[], {"a": 1}, Plain()]
kept = collections.deque(maxlen=50)


@functools.lru_cache(maxsize=100)
def squared(n):
    return n * n


def numbers(n):
    for i in range(n):
        yield str(i + 1000)


def work(round):
    """What programs do all the time; nothing of it leaks."""
    for i in range(300):
        text = json.dumps({"round": round, "i": i, "names": ["a%d" % i] * 3})
        kept.append(json.loads(text))
        squared(i + round)
        re.sub(r"(\d+)-%d" % (i % 5), r"\1", text)
        sorted(numbers(20), key=lambda s: s[::-1])
        try:
            int(text)
        except ValueError as error:
            kept.append(str(error))
        cycle = [Plain()]
        cycle[0].cycle = cycle
    forgetful.keep("remembered %d" % round)
    type("Made%d" % round, (Plain,), {"method": lambda self: self})
    gc.collect()


def waits(source):
    waiting.release()
    for line in source:
        pass


def made(round):
    """50 objects, the references to which will be forgotten."""
    for i in range(6):
        yield "forgotten %d %d" % (round, i)
    for i in range(4):
        yield ("long %d %d " % (round, i)) * 300
    for i in range(4):
        yield (i + 10**6, "x" * (i + 10))
    for i in range(2):
        yield tuple(range(10**6 + i, 10**6 + 200))
    for i in range(4):
        yield [i]
    yield list(range(10**6, 10**6 + 1000))
    for i in range(4):
        yield {i: "y"}
    for i in range(5):
        one = Plain()
        one.number = i
        yield one
    for i in range(2):
        yield Slots()
    for i in range(3):
        yield b"forgotten %d" % i
    yield b"z" * 10000
    yield bytearray(b"forgotten")
    for i in range(3):
        yield 10**20 + i + round
    for i in range(3):
        yield i + 0.5 + round
    yield type("Forgotten", (), {})
    yield lambda: round
    yield {i * 1000003 for i in range(10)}
    yield from climbing
    yield functools.partial(int, base=2)


def leak(round):
    addresses = []
    for one in made(round):
        forgetful.forget(one)
        addresses.append(id(one))
    del one
    return addresses


def told():
    """Whether a line came in."""
    while True:
        byte = os.read(0, 1)
        if byte in (b"", b"\n"):
            return byte


# A thread that waits in the middle of a loop, as servers do.
waiting = threading.Lock()
waiting.acquire()
reader, writer = os.pipe()
threading.Thread(target=waits, args=(os.fdopen(reader),), daemon=True).start()
waiting.acquire()

round = 0
work(round)
print("ready", flush=True)
while told():
    round += 1
    for address in leak(round):
        print("leaked", address)
    work(round)
    print("ready", flush=True)
