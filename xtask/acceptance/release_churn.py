"""Allocates and frees in every size class, in threads that sleep, work and end, with forks, and
verifies its own data throughout. `rest` makes it wait with the GIL free; `go` goes on; `end` ends
it. Says `harmed` with a reason if anything is not as it should be."""
import gc
import os
import random
import sys
import threading
import time

ended = False
resting = threading.Event()
rested = threading.Semaphore(0)
go = threading.Event()
harmed = []


def wrong(what):
    harmed.append(what)
    print("harmed", what, flush=True)


class Node:
    def __init__(self, number, size):
        self.number = number
        self.text = ("%d-" % number) * (1 + size // 8)
        self.bytes = bytes([number % 251]) * size
        self.pair = (number, float(number))
        self.me = self if number % 7 == 0 else None

    def whole(self):
        return (
            self.text.startswith("%d-" % self.number)
            and self.bytes.count(self.number % 251) == len(self.bytes)
            and self.pair == (self.number, float(self.number))
        )


def churn(seed, turns):
    """Fills up and thins out, so that pools are left with few blocks each."""
    rnd = random.Random(seed)
    kept = {}
    number = seed << 32
    turn = 0
    while not ended and (turns is None or turn < turns):
        turn += 1
        for _ in range(rnd.randint(1, 4000)):
            number += 1
            kept[number] = Node(number, rnd.choice((1, 8, 30, 60, 100, 200, 300, 400, 460)))
        some = rnd.sample(list(kept), int(len(kept) * rnd.choice((0.2, 0.5, 0.9, 0.99))))
        for key in some:
            if not kept.pop(key).whole():
                wrong("object %d" % key)
        if len(kept) > 40_000:
            kept.clear()
        if rnd.random() < 0.2:
            time.sleep(rnd.random() / 100)
        if resting.is_set():
            rested.release()
            go.wait()
    if not all(node.whole() for node in kept.values()):
        wrong("what was left")


def short_lived():
    """Threads that come and go."""
    seed = 1000
    while not ended:
        seed += 1
        thread = threading.Thread(target=churn, args=(seed, 3))
        thread.start()
        thread.join()
        if resting.is_set():
            rested.release()
            go.wait()


def forks():
    """Children that use the heap they inherit, and end."""
    while not ended:
        kept = [Node(number, 50) for number in range(2000)]
        child = os.fork()
        if child == 0:
            more = [Node(number, 80) for number in range(5000)]
            del more[::2]
            os._exit(0 if all(node.whole() for node in kept + more) else 3)
        _, status = os.waitpid(child, 0)
        if status != 0:
            wrong("a child ended with %d" % status)
        time.sleep(0.02)
        if resting.is_set():
            rested.release()
            go.wait()


workers = [threading.Thread(target=churn, args=(seed, None), daemon=True) for seed in (1, 2)]
workers += [threading.Thread(target=short_lived, daemon=True)]
if "fork" in sys.argv:
    workers += [threading.Thread(target=forks, daemon=True)]
sys.setswitchinterval(0.001)
for worker in workers:
    worker.start()
print("ready", flush=True)
for line in sys.stdin:
    word = line.strip()
    if word == "rest":
        go.clear()
        resting.set()
        # A thread that is joined rests, too.
        for _ in workers:
            rested.acquire(timeout=30)
        print("resting", flush=True)
    elif word == "go":
        resting.clear()
        go.set()
        print("going", flush=True)
    elif word == "check":
        print("checked", "harmed" if harmed else "whole", flush=True)
    elif word == "end":
        break
ended = True
resting.clear()
go.set()
for worker in workers:
    worker.join(60)
gc.collect()
print("ended", "harmed" if harmed else "whole", flush=True)
