"""A worker: threads that take jobs from a queue, use a database and files, and check results."""

import dataclasses
import hashlib
import json
import os
import queue
import sqlite3
import sys
import tempfile
import threading
import time

THREADS = 6


@dataclasses.dataclass
class Job:
    number: int
    payload: dict
    result: str = ""
    history: list = dataclasses.field(default_factory=list)


jobs = queue.Queue(maxsize=200)
finished = {}
failures = 0
stop = threading.Event()
lock = threading.Lock()


def run(job, database):
    text = json.dumps(job.payload)
    job.result = hashlib.sha256(text.encode()).hexdigest()
    database.execute("insert into results values (?, ?)", (job.number, job.result))
    (found,) = database.execute("select result from results where number = ?", (job.number,)).fetchone()
    with tempfile.TemporaryFile("w+") as file:
        file.write(text)
        file.seek(0)
        again = json.load(file)
    job.history.append(time.monotonic())
    return found == job.result and again == job.payload


def work():
    global failures
    database = sqlite3.connect(":memory:")
    database.execute("create table results (number integer primary key, result text)")
    while True:
        job = jobs.get()
        if job is None:
            return
        good = run(job, database)
        with lock:
            finished[job.number % 20_000] = job
            failures += not good


def produce():
    number = 0
    while not stop.is_set():
        jobs.put(Job(number, {"id": number, "rows": [[n, str(n)] for n in range(20)]}))
        number += 1
    for _ in range(THREADS):
        jobs.put(None)


threads = [threading.Thread(target=work) for _ in range(THREADS)] + [threading.Thread(target=produce)]
for thread in threads:
    thread.start()
while len(finished) < 500:
    time.sleep(0.01)
print("ready", os.getpid(), 0, flush=True)
sys.stdin.readline()
stop.set()
for thread in threads:
    thread.join()
print("done", failures, len(finished), flush=True)
