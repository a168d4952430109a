"""Some kinds of objects that any interpreter can make, kept alive by what build() returns."""

import collections


class Plain:
    def __init__(self, n):
        self.number = n
        self.items = [n, str(n)]


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, n):
        self.a = n
        self.b = (n, [n])


def suspended(n):
    local = [n]
    yield local


def build(scale):
    kept = []
    for n in range(scale * 500):
        generator = suspended(n)
        next(generator)
        kept += [Plain(n), Slotted(n), generator, {n: [str(n)]}, {"n%d" % n, n}, (n, [n])]
        kept += [collections.deque([n]), lambda: n, bytearray(n % 100), "h\u00e9%d" % n]
    return kept
