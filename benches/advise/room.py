"""Containers that were full once: room.py"""

import ctypes

import talk

SESSIONS = {n: None for n in range(700_000)}
SEEN = set(range(400_000))
SHARDS = [dict.fromkeys(range(3_000)) for _ in range(300)]
for n in range(1_000, 700_000):
    del SESSIONS[n]
for n in range(500, 400_000):
    SEEN.discard(n)
for shard in SHARDS:
    for n in range(20, 3_000):
        del shard[n]


def copy():
    global SESSIONS, SEEN
    SESSIONS = dict(SESSIONS)
    SEEN = set(SEEN)
    SHARDS[:] = [dict(shard) for shard in SHARDS]
    ctypes.CDLL(None).malloc_trim(0)


talk.answer(apply=copy)
