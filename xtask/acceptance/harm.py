"""Threads in every kind of blocking call, from Python and (in harm.c) from C: harm.py LIBRARY

Commands on standard input, each answered by a line: quiesce (no children until resume), resume,
report (one JSON object of all counters), stop (a last report after all threads have ended).
"""

import asyncio
import ctypes
import json
import os
import queue
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TIMEOUT = 0.02
LONG = 3.0


class Slot(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char * 32), ("rounds", ctypes.c_ulong), ("errors", ctypes.c_ulong),
        ("shorts", ctypes.c_ulong), ("longs", ctypes.c_ulong), ("text", ctypes.c_char * 96),
        ("quiet", ctypes.c_int),
    ]


library = ctypes.CDLL(sys.argv[1])
slots = (Slot * 64)()
stop, quiesce = ctypes.c_int(0), ctypes.c_int(0)
used = library.harm_start(slots, ctypes.byref(stop), ctypes.byref(quiesce))
assert used > 0, "the C threads did not start"

children = 0
child_signals = 0


def on_child(number, frame):
    global child_signals
    child_signals += 1


signal.signal(signal.SIGCHLD, on_child)
threads = []


def thread(body):
    """Runs body(slot) in a thread of its own, round by round, until the stop."""
    global used
    slot = slots[used]
    used += 1
    slot.name = ("Python " + body.__name__).encode()
    slot.quiet = 1

    def run():
        try:
            rounds = body(slot)
            while not stop.value:
                next(rounds)
                slot.rounds += 1
        except BaseException as error:
            complain(slot, repr(error))

    threads.append(threading.Thread(target=run, name=body.__name__))


def complain(slot, text):
    slot.errors += 1
    slot.text = slot.text or text.encode()[:95]


def timed(slot, call, expected):
    """A call that should run into its timeout."""
    began = time.monotonic()
    try:
        got = call()
    except TimeoutError:
        got = TimeoutError
    took = time.monotonic() - began
    if got != expected:
        complain(slot, f"returned {got!r}")
    if took < TIMEOUT - 0.0005:
        slot.shorts += 1
        slot.text = slot.text or b"only %.4f s" % took
    if took > TIMEOUT + LONG:
        slot.longs += 1


@thread
def sleep(slot):
    while True:
        timed(slot, lambda: time.sleep(TIMEOUT), None)
        yield


@thread
def selecting(slot):
    reader, writer = os.pipe()
    while True:
        timed(slot, lambda: select.select([reader], [], [], TIMEOUT), ([], [], []))
        yield


@thread
def epoll(slot):
    reader, writer = os.pipe()
    selector = selectors.EpollSelector()
    selector.register(reader, selectors.EVENT_READ)
    while True:
        timed(slot, lambda: selector.select(TIMEOUT), [])
        yield


@thread
def lock(slot):
    taken = threading.Lock()
    taken.acquire()
    while True:
        timed(slot, lambda: taken.acquire(timeout=TIMEOUT), False)
        yield


@thread
def condition(slot):
    waited_for = threading.Condition()
    while True:
        with waited_for:
            timed(slot, lambda: waited_for.wait(TIMEOUT), False)
        yield


@thread
def pipe_read(slot):
    reader, writer = os.pipe()
    for n in range(1 << 60):
        later = threading.Timer(0.005, os.write, (writer, b"%20d" % n))
        later.start()
        if os.read(reader, 20) != b"%20d" % n:
            complain(slot, "wrong bytes in a pipe")
        later.join()
        yield


@thread
def socket_recv(slot):
    mine, other = socket.socketpair()
    mine.settimeout(TIMEOUT)
    while True:
        timed(slot, lambda: mine.recv(1), TimeoutError)
        yield


@thread
def children_run(slot):
    global children
    slot.quiet = 0
    while True:
        while quiesce.value and not stop.value:
            slot.quiet = 1
            time.sleep(0.002)
        slot.quiet = 0
        library.harm_lock()
        child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        children += 1
        said, _ = child.communicate(b"through a child")
        library.harm_unlock()
        if child.returncode or said != b"through a child":
            complain(slot, f"child {child.returncode} {said!r}")
        yield


@thread
def bytecode(slot):
    while True:
        total = 0
        made = {}
        for i in range(3000):
            total += i
            made[i] = [i]
        if total != 4498500 or sum(map(len, made.values())) != 3000:
            complain(slot, "wrong sum")
        yield


@thread
def queues(slot):
    empty = queue.SimpleQueue()

    def get():
        try:
            return empty.get(timeout=TIMEOUT)
        except queue.Empty:
            return None

    while True:
        timed(slot, get, None)
        yield


@thread
def tasks(slot):
    async def one():
        began = time.monotonic()
        await asyncio.sleep(TIMEOUT)
        return time.monotonic() - began

    async def many():
        return await asyncio.gather(*(one() for _ in range(5)))

    loop = asyncio.new_event_loop()
    while True:
        if min(loop.run_until_complete(many())) < TIMEOUT - 0.001:
            slot.shorts += 1
        yield


@thread
def files(slot):
    with tempfile.TemporaryFile() as file:
        for n in range(1 << 60):
            file.seek(0)
            file.write(b"%30d" % n)
            file.flush()
            file.seek(0)
            if file.read(30) != b"%30d" % n:
                complain(slot, "wrong bytes in a file")
            time.sleep(0.001)
            yield


def report():
    sent, received = ctypes.c_ulong(), ctypes.c_ulong()
    library.harm_signals(ctypes.byref(sent), ctypes.byref(received))
    rows = {}
    for slot in slots[:used]:
        rows[slot.name.decode()] = {
            "rounds": slot.rounds, "errors": slot.errors, "shorts": slot.shorts,
            "longs": slot.longs, "text": slot.text.decode(errors="replace"),
        }
    # vforked children send SIGCHLD as well; signals that wait together merge.
    vforked = rows["C vfork"]["rounds"]
    return "report " + json.dumps({
        "slots": rows, "signals_sent": sent.value, "signals_received": received.value,
        "child_signals": child_signals, "children": children + vforked + 2,
    })


for one in threads:
    one.start()
print("ready", flush=True)
for line in sys.stdin:
    command = line.strip()
    if command == "quiesce":
        quiesce.value = 1
        while not all(slot.quiet for slot in slots[:used]):
            time.sleep(0.001)
        print("quiet", flush=True)
    elif command == "resume":
        quiesce.value = 0
        print("resumed", flush=True)
    elif command == "report":
        print(report(), flush=True)
    elif command == "stop":
        break
stop.value = 1
for one in threads:
    one.join(20)
time.sleep(0.3)
print(report(), flush=True)
os._exit(0)
