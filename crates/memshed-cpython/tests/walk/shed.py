"""Programs that shed their own memory, and verify that what they have is still what it was.

Arguments: the agent's code, the offset of its entry, the program, and its size. Says "look", for
the allocator to be looked at, and goes on when a line comes; the first line is its state."""
import ctypes
import gc
import hashlib
import json
import os
import random
import sys
import threading
import time
import warnings

sys.path.insert(0, os.path.dirname(__file__))
import inside
from inside import FREE, RETIRE, TOPS, UNRETIRE, USED


def look(**said):
    print("look", json.dumps(said), flush=True)
    return sys.stdin.readline()


def mixture(n):
    """Small objects of four kinds."""
    objects = []
    for i in range(n // 4):
        objects.append({"id": i})
        objects.append([i, i + 1])
        objects.append("string-%d-xxxxxxxx" % i)
        objects.append((i, float(i)))
    return objects


def digest(objects):
    return hashlib.sha256(repr(objects).encode()).hexdigest()


def fragment(agent, size):
    """Many objects of which few stay."""
    gc.disable()
    objects = mixture(size)
    kept = objects[::501]
    truth = digest(kept)
    del objects
    gc.collect()
    look(rss=inside.rss())
    said = {}
    for name, steps in (("a2", TOPS), ("a", FREE), ("b2", USED), ("again", 7), ("a3", RETIRE)):
        plans = agent.plans()
        before = inside.rss()
        out = agent.shed(steps, plans=plans)
        out["fell"] = before - inside.rss()
        said[name] = out
        assert digest(kept) == truth
        look(rss=inside.rss(), **said)
    out = agent.shed(UNRETIRE)
    assert digest(kept) == truth
    look(rss=inside.rss(), undo=out)
    bursts = []
    for _ in range(3):
        start = time.process_time()
        objects = mixture(size * 3 // 5)
        bursts.append(time.process_time() - start)
        del objects
    assert digest(kept) == truth
    look(rss=inside.rss(), bursts=bursts)


class Blocks:
    """Blocks straight from the allocator, of all sizes, each with contents of its own."""
    malloc = ctypes.pythonapi.PyObject_Malloc
    malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    free = ctypes.pythonapi.PyObject_Free
    free.restype, free.argtypes = None, [ctypes.c_void_p]

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.blocks = {}
        self.next = seed << 40
        self.sizes = 512

    def contents(self, number, size):
        word = number.to_bytes(8, "little")
        return (word * (size // 8 + 1))[:size]

    def more(self, count):
        for _ in range(count):
            size = self.random.randint(1, self.sizes)
            at = self.malloc(size)
            if at in self.blocks:
                raise SystemExit("a block was given twice")
            self.next += 1
            ctypes.memmove(at, self.contents(self.next, size), size)
            self.blocks[at] = (self.next, size)

    def fewer(self, count):
        some = self.random.sample(list(self.blocks), min(count, len(self.blocks)))
        for at in some:
            number, size = self.blocks.pop(at)
            if ctypes.string_at(at, size) != self.contents(number, size):
                raise SystemExit("the contents of a block have changed")
            self.free(at)

    def verify(self):
        for at, (number, size) in self.blocks.items():
            if ctypes.string_at(at, size) != self.contents(number, size):
                raise SystemExit("the contents of a block have changed")

    def step(self):
        """Fills up or thins out, sometimes to the point that whole arenas go."""
        if self.random.random() < 0.1:
            self.sizes = self.random.choice([16, 64, 100, 512, 512])
        grow = self.random.random()
        if grow < 0.45 and len(self.blocks) < 20_000:
            self.more(self.random.randint(1, 3000))
        elif grow < 0.9:
            self.fewer(self.random.randint(1, 3000))
        else:
            self.fewer(len(self.blocks) * 9 // 10)


def stress(agent, size):
    """Threads, forks, and all that the agent can do, in all orders, at any time."""
    warnings.simplefilter("ignore")
    dice = random.Random(size)
    mine = Blocks(1)
    ended, running, parked = threading.Event(), threading.Event(), threading.Semaphore(0)
    running.set()
    failures = []

    def work(seed):
        blocks = Blocks(seed)
        objects = []
        try:
            while not ended.is_set():
                if not running.is_set():
                    parked.release()
                    running.wait()
                blocks.step()
                objects = mixture(dice.randint(0, 2000)) + objects[:: dice.randint(2, 9)]
            blocks.verify()
        except BaseException as error:
            failures.append(repr(error))
            parked.release()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (2, 3)]
    for thread in threads:
        thread.start()
    sums = {}
    for i in range(size):
        for _ in range(dice.randint(1, 3)):
            mine.step()
        steps = dice.choice([TOPS, FREE, USED, RETIRE, UNRETIRE, 7, 7, 15, 31, 23])
        plans = agent.plans()
        fresh = dice.random() < 0.5
        if fresh:
            out = agent.shed(steps, 10**9, plans)
            sums["surprises"] = sums.get("surprises", 0) + out["torn_arenas"] + out["torn_pools"]
        else:
            # A plan is always out of date, and other code runs between slices.
            mine.step()
            out = agent.shed(steps, dice.choice([0, 200_000, 4_000_000]), plans, mine.step)
        for name, value in out.items():
            if isinstance(value, int):
                sums[name] = sums.get(name, 0) + value
        sums["released"] = [a + b for a, b in zip(sums.get("released", [0] * 5), out["released"])]
        if i % 50 == 9:
            child = os.fork()
            if not child:
                agent.pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
                for _ in range(5):
                    agent.shed(dice.choice([7, 15, 31]))
                    mine.step()
                mine.verify()
                os._exit(0)
            # Now everything is shared.
            out = agent.shed(15)
            sums["shared_pools"] += out["shared_pools"]
            mine.step()
            agent.shed(7)
            if os.waitpid(child, 0)[1]:
                failures.append("the child failed")
        if i % 10 == 4 or i == size - 1:
            mine.verify()
            running.clear()
            for thread in threads:
                parked.acquire()
            if failures:
                raise SystemExit(str(failures))
            answer = look(**sums)
            running.set()
    ended.set()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(str(failures))


def main():
    image, offset, name, size = sys.argv[1:]
    state = json.loads(look())
    agent = inside.Agent(image, int(offset), state)
    {"fragment": fragment, "stress": stress}[name](agent, int(size))
    print("end", flush=True)


main()
