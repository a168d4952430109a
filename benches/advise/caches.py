"""A program whose memory is mostly caches: caches.py"""

import ctypes
import functools

import talk


@functools.lru_cache(maxsize=None)
def described(number):
    return "a long description of the number %d, " % number * 4


PAGE_CACHE = {}


def page(number):
    if number not in PAGE_CACHE:
        PAGE_CACHE[number] = ["line %d of page %d" % (line, number) for line in range(20)]
    return PAGE_CACHE[number]


def clear():
    described.cache_clear()
    PAGE_CACHE.clear()
    ctypes.CDLL(None).malloc_trim(0)


for number in range(60_000):
    described(number)
for number in range(12_000):
    page(number)
talk.answer(apply=clear)
