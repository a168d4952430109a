"""A worker of huey with its queue in memory: service_huey.py

Its jobs look texts up through an lru_cache without a limit, and a table of sessions was full once.
`apply` empties the cache and copies the table.
"""

import ctypes
import functools

from huey import MemoryHuey

import talk

huey = MemoryHuey(results=False)
clock = talk.Clock()


@functools.lru_cache(maxsize=None)
def text_of(number):
    return ["paragraph %d of text %d" % (n, number) for n in range(12)]


@huey.task()
def job(number):
    clock.rounds += 1
    return sum(map(len, text_of(number % 20_000)))


SESSIONS = {n: (n, n + 1) for n in range(500_000)}
for n in range(2_000, 500_000):
    del SESSIONS[n]
for number in range(20_000):
    text_of(number)
consumer = huey.create_consumer(workers=2, periodic=False, initial_delay=0.01, max_delay=0.05)
consumer.start()


def enqueue():
    for number in range(1 << 60):
        job(number)
        consumer.stop_flag.wait(0.002)


def apply():
    global SESSIONS
    text_of.cache_clear()
    SESSIONS = dict(SESSIONS)
    ctypes.CDLL(None).malloc_trim(0)


talk.in_background(enqueue)
talk.answer(clock, apply=apply)
