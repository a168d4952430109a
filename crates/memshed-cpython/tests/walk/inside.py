"""Runs the agent within the interpreter that runs this, holding the GIL: what a pending call does.

The addresses of the allocator's state come from outside, as JSON."""
import ctypes
import mmap
import os

u32, u64 = ctypes.c_uint32, ctypes.c_uint64
TOPS, FREE, USED, RETIRE, UNRETIRE = 1, 2, 4, 8, 16
WAITING, MORE, DONE = 0, 2, 3
PAGE = 4096


class Shed(ctypes.Structure):
    _fields_ = [
        ("arenas", u64), ("table", u64), ("maxarenas", u64), ("usable_arenas", u64),
        ("nfp2lasta", u64),
        ("pool_size", u32), ("arena_size", u32), ("steps", u64), ("budget_ns", u64),
        ("plans", u64), ("plans_len", u64), ("cursor", u64), ("ranges", u64), ("ranges_len", u64),
        ("released", u64 * 5), ("pools", u64), ("torn_pools", u64), ("shared_pools", u64),
        ("torn_arenas", u64), ("refused", u64), ("refused_bytes", u64), ("error", u64)]


class Job(ctypes.Structure):
    _fields_ = [("status", u32), ("kind", u32), ("took_ns", u64), ("gil_locked", u64),
                ("gil_mutex", u64), ("shed", Shed), ("call", u64 * 10)]


class Plan(ctypes.Structure):
    _fields_ = [("address", u64), ("index", u64), ("pools", u64 * 2), ("resident", u64 * 8),
                ("shared", u64 * 8)]


class Agent:
    def __init__(self, image, offset, state):
        with open(image, "rb") as f:
            code = f.read()
        everything = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        self.image = mmap.mmap(-1, len(code), prot=everything)
        self.image.write(code)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.image))
        # As ctypes.PyDLL does it, with the GIL held.
        self.entry = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(start + offset)
        self.state = state
        self.pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
        self.ranges = (u64 * 2048)()

    def arenas(self):
        """(index, address) of each arena there is."""
        table = u64.from_address(self.state["arenas"]).value
        count = u32.from_address(self.state["maxarenas"]).value
        words = (u64 * (count * 6)).from_address(table)
        return [(i, words[i * 6]) for i in range(count) if words[i * 6]]

    def pages(self, address, size):
        """Bitmaps of the resident and the shared pages."""
        raw = os.pread(self.pagemap, size // PAGE * 8, address // PAGE * 8)
        # Of each word the last byte: bit 63 is "present", bit 56 "mapped by nobody else".
        last = raw[7::8][::-1]
        resident = int("".join("1" if b & 0x80 else "0" for b in last), 2)
        shared = int("".join("1" if b & 0x81 == 0x80 else "0" for b in last), 2)
        return resident, shared

    def plans(self):
        found = self.arenas()
        plans = (Plan * len(found))()
        for plan, (index, address) in zip(plans, found):
            resident, shared = self.pages(address, self.state["arena_size"])
            plan.address, plan.index = address, index
            plan.pools[0] = plan.pools[1] = 2**64 - 1
            for i in range(8):
                plan.resident[i] = resident >> 64 * i & 2**64 - 1
                plan.shared[i] = shared >> 64 * i & 2**64 - 1
        return plans

    def shed(self, steps, budget_ns=4_000_000, plans=None, between=None):
        """Sheds in slices. What came of it, with the milliseconds of each slice."""
        plans = self.plans() if plans is None else plans
        s, job = self.state, Job()
        job.kind = 1
        shed = job.shed
        shed.arenas, shed.maxarenas = s["arenas"], s["maxarenas"]
        shed.table = u64.from_address(s["arenas"]).value
        shed.usable_arenas, shed.nfp2lasta = s["usable_arenas"], s["nfp2lasta"]
        shed.pool_size, shed.arena_size = s["pool_size"], s["arena_size"]
        shed.steps, shed.budget_ns = steps, budget_ns
        shed.plans, shed.plans_len = ctypes.addressof(plans), len(plans)
        shed.ranges, shed.ranges_len = ctypes.addressof(self.ranges), 1024
        slices = []
        while True:
            job.status = WAITING
            self.entry(ctypes.addressof(job))
            slices.append(job.took_ns / 1e6)
            if job.status != MORE:
                break
            if between:
                between()
        if job.status != DONE:
            raise RuntimeError(f"status {job.status}")
        out = {name: getattr(shed, name) for name in
               ("pools", "torn_pools", "shared_pools", "torn_arenas", "refused", "error")}
        out["released"] = list(shed.released)
        out["slices"] = slices
        return out


def rss():
    """Resident bytes, exactly."""
    with open("/proc/self/smaps_rollup") as f:
        for line in f:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
