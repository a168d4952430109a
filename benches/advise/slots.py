"""Many instances of a few classes: slots.py [--slots]"""

import sys

import talk

SLOTS = "--slots" in sys.argv


class Point:
    if SLOTS:
        __slots__ = ("x", "y", "z")

    def __init__(self, n):
        self.x = self.y = self.z = n % 200


class Base:
    if SLOTS:
        __slots__ = ("id",)

    def __init__(self, n):
        self.id = n % 100


class Order(Base):
    if SLOTS:
        __slots__ = ("customer", "lines", "total", "state", "note", "__weakref__")

    def __init__(self, n):
        super().__init__(n)
        self.customer = self.lines = self.total = self.state = self.note = None


class Uneven:
    """Not all of them have the same attributes."""

    def __init__(self, n):
        self.a = self.b = None
        if n % 3 == 0:
            self.extra = None


points = [Point(n) for n in range(200_000)]
orders = [Order(n) for n in range(100_000)]
uneven = [Uneven(n) for n in range(60_000)]
talk.answer()
