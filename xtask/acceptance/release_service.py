"""A service: after a bulk load that is gone but for a part, it answers requests of a few hundred
rows and keeps the last 500 answers. `serve N` answers N requests and says the processor time per
request, the 99th percentile and how many kB are resident."""
import json
import os
import sys
import time

# The one it is compared with runs on the same processor: two are seldom equally fast.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
size = int(sys.argv[1])
loaded = []
for i in range(size // 4):
    loaded.append({"id": i})
    loaded.append([i, i + 1])
    loaded.append("string-%d-xxxxxxxx" % i)
    loaded.append((i, float(i)))
kept = loaded[::501]
del loaded
TEXT = json.dumps([{"id": j, "v": [j, j], "t": {"a": j, "b": [j]}} for j in range(300)])
answers = {}
served = 0


def request(number):
    rows = json.loads(TEXT)
    context = {"rows": None}
    answer = {"context": context, "sum": sum(row["id"] + len(row["v"]) for row in rows)}
    context["request"] = answer
    answers[number % 500] = rows[:40]


def rss():
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Rss:"))


print("ready", flush=True)
for line in sys.stdin:
    times = []
    for _ in range(int(line.split()[1])):
        start = time.process_time()
        request(served)
        times.append(time.process_time() - start)
        served += 1
    times.sort()
    print("served", sum(times) / len(times) * 1e6, times[len(times) * 99 // 100] * 1e6, rss(), flush=True)
