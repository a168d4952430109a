"""A pandas job that works round after round and checks its sums."""

import os
import sys
import threading

import numpy as np
import pandas as pd

rounds = failures = 0
stop = threading.Event()
random = np.random.default_rng(7)
frame = pd.DataFrame({
    "key": random.integers(0, 500, 300_000),
    "value": random.random(300_000),
    "text": [f"row {n % 1000}" for n in range(300_000)],
})
total = frame["value"].sum()


def work():
    global rounds, failures
    while not stop.is_set():
        grouped = frame.groupby("key")["value"].agg(["sum", "mean", "count"])
        joined = frame.merge(grouped.reset_index(), on="key").sort_values("value")
        by_text = joined.groupby("text", sort=False)["value"].sum()
        if abs(grouped["sum"].sum() - total) > 1e-6 * total or abs(by_text.sum() - total) > 1e-6 * total:
            failures += 1
        rounds += 1


worker = threading.Thread(target=work)
worker.start()
print("ready", os.getpid(), 0, flush=True)
sys.stdin.readline()
stop.set()
worker.join()
print("done", failures, rounds, flush=True)
