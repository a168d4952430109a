"""pandas work in a loop: groups, joins and sorts, of which the last few results are kept."""

import collections
import threading
import time

import numpy as np
import pandas as pd

import steady

FAULT = steady.asked("closure", "generator")
random = np.random.default_rng(7)
frame = pd.DataFrame({
    "key": random.integers(0, 500, 30_000),
    "value": random.random(30_000),
    "text": [f"row {n % 1000}" for n in range(30_000)],
})
last = collections.deque(maxlen=10)
full = threading.Event()


def collector():
    results = []

    def collect(found):
        results.append(found)
        if FAULT != "closure" and len(results) > 40:
            results.clear()

    return collect


def running_mean():
    frames = []
    while True:
        frames.append((yield sum(one["mean"].mean() for one in frames[-5:])))
        if FAULT != "generator" and len(frames) > 5:
            frames.pop(0)


def run():
    collect, mean = collector(), running_mean()
    next(mean)
    for rounds in range(1 << 60):
        grouped = frame.groupby("key")["value"].agg(["sum", "mean", "count"])
        joined = frame.merge(grouped.reset_index(), on="key").sort_values("value")
        last.append(joined.groupby("text", sort=False)["value"].sum())
        collect(grouped)
        mean.send(grouped)
        if rounds > 100:
            full.set()
        time.sleep(10 * steady.PACE)


threading.Thread(target=run, daemon=True).start()
full.wait()
steady.ready()
steady.until_told()
