"""Frees most of what it has made, then is busy or idle in one of several ways, until its input
ends. Says how long its threads have waited at worst.

main         the main thread works
four         it and three others do
worker       it sleeps, another works
join         it waits for another that works
lock         it waits for a lock, another works
idle         it reads, and nobody works"""
import gc
import hashlib
import sys
import threading
import time

mode, size = sys.argv[1], int(sys.argv[2])


def digest(objects):
    return hashlib.sha256(repr(objects).encode()).hexdigest()


gc.disable()
objects = []
for i in range(size // 4):
    objects.append({"id": i})
    objects.append([i, i + 1])
    objects.append("string-%d-xxxxxxxx" % i)
    objects.append((i, float(i)))
kept = objects[::501]
truth = digest(kept)
del objects
gc.collect()
stop = threading.Event()
worst = [0.0]


def work():
    last = time.perf_counter()
    while not stop.is_set():
        made = [{"a": k} for k in range(200)]
        made += [str(k) for k in range(200)]
        now = time.perf_counter()
        worst[0] = max(worst[0], now - last)
        last = now


def listen():
    for line in sys.stdin:
        if line.strip() == "gap":
            print("gap", worst[0] * 1e3, flush=True)
            worst[0] = 0.0
        if line.strip() == "check":
            print("checked", "whole" if digest(kept) == truth else "changed", flush=True)
    stop.set()


if mode == "idle":
    print("ready", flush=True)
    listen()
else:
    threading.Thread(target=listen, daemon=True).start()
    others = {"main": 0, "four": 3, "worker": 1, "join": 1, "lock": 1}[mode]
    threads = [threading.Thread(target=work, daemon=True) for _ in range(others)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    if mode in ("main", "four"):
        work()
    elif mode == "worker":
        while not stop.is_set():
            time.sleep(0.5)
    elif mode == "join":
        threads[0].join()
    elif mode == "lock":
        lock = threading.Lock()
        lock.acquire()
        while not stop.is_set():
            lock.acquire(timeout=0.5)
print("ended", "whole" if digest(kept) == truth else "changed", flush=True)
