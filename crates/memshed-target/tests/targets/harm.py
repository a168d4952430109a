"""Fourteen threads in every kind of blocking call that Python has; counts what goes wrong.

Says "ready PID"; told "report", says one line per kind as harm.c does, then "end"; told "turns N"
or "round", says "turned" when these are over, as harm.c does.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

TIMEOUT = 0.15
counts = {}


def timed(wait):
    def turn():
        start = time.monotonic()
        wait()
        took = time.monotonic() - start
        turn.late_ms = int((took - TIMEOUT) * 1000)
        return "short" if took < TIMEOUT - 0.001 else None

    return turn


def nothing_comes(sock):
    def wait():
        try:
            sock.recv(1)
        except TimeoutError:
            pass

    return wait


def kinds():
    near, far = socket.socketpair()
    near.settimeout(TIMEOUT)
    epoll = select.epoll()
    poll = select.poll()
    lock = threading.Lock()
    lock.acquire()
    condition = threading.Condition()
    read_end, write_end = os.pipe()
    keep = [far]

    def wait_condition():
        with condition:
            condition.wait(TIMEOUT)

    def drip():
        while True:
            os.write(write_end, b"drop")
            time.sleep(0.002)

    threading.Thread(target=drip, daemon=True).start()

    def pipe():
        return None if os.read(read_end, 4) == b"drop" else "other"

    def child():
        done = subprocess.run([sys.executable, "-S", "-c", "import sys; sys.exit(7)"])
        return None if done.returncode == 7 else "other"

    def fork():
        pid = os.posix_spawn("/bin/true", ["true"], {})
        return None if os.waitpid(pid, 0) == (pid, 0) else "other"

    def file(path="/tmp/memshed-harm-%d" % os.getpid()):
        with open(path, "wb") as out:
            out.write(b"x" * 100_000)
        with open(path, "rb") as back:
            good = back.read() == b"x" * 100_000
        os.unlink(path)
        return None if good else "other"

    def bytecode():
        total = sum(i * i for i in range(20_000))
        return None if total == 2666466670000 else "other"

    def allocate():
        made = [(i, [str(i)]) for i in range(2_000)]
        return None if made[1234][1][0] == "1234" else "other"

    del keep[1:]
    return {
        "sleep": timed(lambda: time.sleep(TIMEOUT)),
        "select": timed(lambda: select.select([], [], [], TIMEOUT)),
        "poll": timed(lambda: poll.poll(TIMEOUT * 1000)),
        "epoll": timed(lambda: epoll.poll(TIMEOUT)),
        "lock": timed(lambda: lock.acquire(timeout=TIMEOUT)),
        "condition": timed(wait_condition),
        "recv": timed(nothing_comes(near)),
        "sigtimedwait": timed(lambda: signal.sigtimedwait([signal.SIGUSR2], TIMEOUT)),
        "pipe": pipe,
        "child": child,
        "fork": fork,
        "file": file,
        "bytecode": bytecode,
        "allocate": allocate,
    }, keep


def run(name, turn):
    mine = counts[name]
    while True:
        try:
            wrong = turn()
        except InterruptedError:
            wrong = "eintr"
        except BaseException as e:
            print(name, repr(e), file=sys.stderr, flush=True)
            wrong = "other"
        if wrong:
            mine[wrong] += 1
        mine["late_ms"] = max(mine["late_ms"], getattr(turn, "late_ms", 0))
        mine["rounds"] += 1


def wait_for_turns(turns):
    def rounds():
        return sum(mine["rounds"] for mine in counts.values())

    before = rounds()
    while rounds() < before + turns:
        time.sleep(0.001)


def wait_for_a_round():
    # The turn that is under way counts for none.
    enough = {name: mine["rounds"] + 2 for name, mine in counts.items()}
    while any(counts[name]["rounds"] < enough[name] for name in counts):
        time.sleep(0.001)


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    seen = [0]

    def on_signal(*_):
        seen[0] += 1

    signal.signal(signal.SIGUSR1, on_signal)
    table, _keep = kinds()
    for name, turn in table.items():
        counts[name] = dict(rounds=0, eintr=0, short=0, other=0, late_ms=0, gap_us=0)
        threading.Thread(target=run, args=(name, turn), daemon=True).start()
    while any(c["rounds"] == 0 for c in counts.values()):
        time.sleep(0.001)
    print("ready", os.getpid(), flush=True)
    for line in sys.stdin:
        if line == "quit\n":
            break
        if line.startswith(("turns ", "round")):
            wait_for_turns(int(line[6:])) if line[6:] else wait_for_a_round()
            print("turned", flush=True)
            continue
        for name, mine in counts.items():
            print(name, *(f"{key}={value}" for key, value in mine.items()))
        print("end", flush=True)
    os._exit(0)


main()
