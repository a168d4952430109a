"""What the programs here have in common: they say `ready PORT` (0 if they serve nothing), then answer
questions on standard input.

rss        resident bytes, by /proc/self/smaps_rollup
collector  the collector's share of the processor time since the last question, from 0 to 1, by its own
           callbacks, and the rounds of work done in each second of processor time
apply      follows the advice that can be followed in a running program
stop       ends
"""

import gc
import os
import sys
import threading
import time


class Clock:
    """Processor time within collections."""

    def __init__(self):
        self.inside = self.began = 0.0
        self.rounds = 0
        self.last = (time.process_time(), 0.0, 0)
        gc.callbacks.append(self.note)

    def note(self, phase, info):
        now = time.thread_time()
        if phase == "start":
            self.began = now
        else:
            self.inside += now - self.began

    def share(self):
        now = (time.process_time(), self.inside, self.rounds)
        cpu, inside, rounds = (a - b for a, b in zip(now, self.last))
        self.last = now
        return inside / max(cpu, 1e-9), rounds / max(cpu, 1e-9)


def resident():
    with open("/proc/self/smaps_rollup") as file:
        rows = dict(line.split(":") for line in file.readlines()[1:])
    return int(rows["Rss"].split()[0]) * 1024


def answer(clock=None, apply=None, port=0):
    """Answers until told to stop."""
    print("ready", port, flush=True)
    for line in sys.stdin:
        word = line.strip()
        if word == "rss":
            print("rss", resident(), flush=True)
        elif word == "collector":
            print("collector", *clock.share(), flush=True)
        elif word == "apply":
            apply()
            print("applied", flush=True)
        elif word == "stop":
            break
    print("done", flush=True)
    os._exit(0)


def in_background(work):
    threading.Thread(target=work, daemon=True).start()
