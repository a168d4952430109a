"""Rows read from a file, with values that come again and again: equal.py [--intern]"""

import sys

import talk

INTERN = "--intern" in sys.argv
LINES = ["%d,city-%d of the country,status-%d" % (n, n % 500, n % 7) for n in range(200_000)]


class Row:
    __slots__ = ("id", "city", "status")

    def __init__(self, line):
        id, city, status = line.split(",")
        self.id = int(id)
        self.city = sys.intern(city) if INTERN else city
        self.status = sys.intern(status) if INTERN else status


rows = [Row(line) for line in LINES]
del LINES
talk.answer()
