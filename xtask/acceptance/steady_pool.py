"""A thread pool that is given tasks one after the other, a few at a time; the last results are kept."""

import collections
import concurrent.futures
import hashlib
import io
import json
import logging
import threading
import time

import steady

FAULT = steady.asked("futures", "class-list", "handlers")
WAITING = 20
log = logging.getLogger("tasks")
pending = {}
recent = collections.deque(maxlen=300)
full = threading.Event()


class Task:
    history = []  # of all tasks, for it belongs to the class

    def __init__(self, number):
        self.number = number
        self.rows = [[n, str(n + number)] for n in range(20)]
        if FAULT != "class-list":
            self.history = []

    def run(self):
        text = json.dumps(self.rows)
        self.history.append(("run", text))
        handler = logging.StreamHandler(io.StringIO())
        log.addHandler(handler)
        log.debug("task %d", self.number)
        if FAULT != "handlers":
            log.removeHandler(handler)
        return hashlib.sha256(text.encode()).hexdigest() * 10


def work():
    log.setLevel(logging.WARNING)
    batch = []
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for number in range(1 << 60):
            pending[number] = pool.submit(Task(number).run)
            if number >= WAITING:
                done = number - WAITING
                future = pending[done] if FAULT == "futures" else pending.pop(done)
                recent.append(future.result())
                batch.append(recent[-1])
            if len(batch) == 400:  # written out, as it were
                batch.clear()
            if number == 600:
                full.set()
            time.sleep(steady.PACE)


threading.Thread(target=work, daemon=True).start()
full.wait()
steady.ready()
steady.until_told()
