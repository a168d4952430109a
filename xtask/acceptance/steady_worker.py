"""A worker: threads that take jobs from a queue, use a database and files, and keep the last jobs."""

import atexit
import collections
import functools
import gc
import hashlib
import json
import queue
import sqlite3
import tempfile
import threading
import time
import warnings

import steady

FAULT = steady.asked(
    "cycles", "freeze", "cached-method", "registry", "files", "threads", "warnings", "error-chain", "atexit"
)
THREADS = 4
jobs = queue.Queue(maxsize=100)
finished = collections.OrderedDict()
opened = []
lock = threading.Lock()
full = threading.Event()
never = threading.Event()
warnings.showwarning = lambda *told: None


class Step:
    def __init__(self, job, name):
        self.job = job
        self.name = name
        self.took = [time.monotonic()]


class Job:
    def __init__(self, number):
        self.number = number
        self.payload = {"id": number, "rows": [[n, str(n + number)] for n in range(10)]}
        self.steps = [Step(self, "made")]  # and each step knows its job

    @functools.lru_cache(maxsize=None)
    def checksum(self):
        return hashlib.sha256(json.dumps(self.payload).encode()).hexdigest()


class Failed(Exception):
    pass


class Retries:
    last_error = None

    def note(self, job):
        try:
            raise Failed(job.number) from (self.last_error if FAULT == "error-chain" else None)
        except Failed as error:
            self.last_error = error


class Row:
    registry = []

    def __init_subclass__(cls):
        if FAULT == "registry":
            Row.registry.append(cls)


retries = Retries()


def run(job, database):
    text = json.dumps(job.payload)
    result = job.checksum() if FAULT == "cached-method" else hashlib.sha256(text.encode()).hexdigest()
    database.execute("insert or replace into results values (?, ?)", (job.number % 500, result))
    job.steps.append(Step(job, "stored"))
    if job.number % 5 == 0:
        file = tempfile.TemporaryFile("w+")
        file.write(text)
        if FAULT == "files":
            opened.append(file)
        else:
            file.close()
        # Classes are made as some serializers do.
        type("Row", (Row,), {"fields": list(job.payload)})
    if FAULT == "warnings":
        warnings.warn(f"job {job.number} took long: {text[:100]}")
    elif FAULT == "threads" and job.number % 10 == 0:
        threading.Thread(target=wait_for, args=(job,), daemon=True).start()
    elif FAULT == "freeze" and job.number % 50 == 0:
        gc.freeze()
    elif FAULT == "atexit":
        atexit.register(job.steps.clear)
    with lock:
        retries.note(job)
        finished[job.number] = job
        if len(finished) > 100:
            finished.popitem(last=False)
            full.set()


def wait_for(job):
    never.wait()
    job.steps.append(Step(job, "ended"))


def work():
    database = sqlite3.connect(":memory:")
    database.execute("create table results (number integer primary key, result text)")
    # All rows that there will ever be.
    database.executemany("insert into results values (?, ?)", ((n, "0" * 64) for n in range(500)))
    while True:
        run(jobs.get(), database)


def produce():
    for number in range(1 << 60):
        jobs.put(Job(number))
        time.sleep(steady.PACE)


if FAULT == "cycles":
    gc.disable()
for target in [work] * THREADS + [produce]:
    threading.Thread(target=target, daemon=True).start()
full.wait()
steady.ready()
steady.until_told()
