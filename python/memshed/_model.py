"""What the commands answer, as frozen dataclasses made from their JSON.

Sizes are in bytes, times in the unit of their name. Each object keeps its JSON in ``raw``: what a
later command adds is there before it has a field here. The shape is described by
``memshed schema COMMAND``.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field
from typing import (
    Any,
    Dict,
    Mapping,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from ._errors import MemshedError

T = TypeVar("T")


def decode(kind: Type[T], document: Mapping[str, Any]) -> T:
    """Makes a ``kind`` of a JSON object: unknown members are left in ``raw``, and those that are
    missing take their default."""
    hints: Dict[str, Any] = _hints(cast(Any, kind))
    values: Dict[str, Any] = {"raw": document}
    for name, hint in hints.items():
        if name in document and name != "raw":
            values[name] = _convert(hint, document[name])
    try:
        return kind(**values)
    except TypeError as error:
        raise MemshedError(f"the memshed command left something out: {error}") from None


@functools.lru_cache(maxsize=None)
def _hints(kind: Any) -> Dict[str, Any]:
    return get_type_hints(kind)


def _convert(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(hint) is Union:
        (hint,) = (one for one in get_args(hint) if one is not type(None))
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return tuple(_convert(item, one) for one in value)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return decode(hint, value)
    if hint is float:
        return float(value)
    if hint is int and isinstance(value, str):
        # An address.
        return int(value, 16)
    return value


def _raw() -> Any:
    return field(default_factory=dict, repr=False, compare=False)


def size(number: int) -> str:
    """A size as memshed writes it: ``39.8 MB``, a million bytes being a MB."""
    if number < 1000:
        return f"{number} B"
    value = number / 1000
    units = ["kB", "MB", "GB", "TB", "PB"]
    while value >= 999.95 and len(units) > 1:
        value /= 1000
        del units[0]
    return f"{value:.1f} {units[0]}"


class _Report:
    """The answer of a command. ``str()`` gives the first lines of its report."""

    def _lines(self) -> Tuple[str, ...]:
        verdict: Tuple[str, ...] = getattr(self, "verdict", ())
        return verdict

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        lines = self._lines()
        return f"<{type(self).__name__}: {lines[0] if lines else ''}>"


@dataclass(frozen=True)
class Container:
    """The memory limit of a process's control group."""

    limit_bytes: int
    used_bytes: int
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Process:
    """A process, as it was when it was looked at."""

    pid: int
    python: str
    executable: str
    rss_bytes: int
    pss_bytes: int = 0
    uss_bytes: int = 0
    swap_bytes: int = 0
    peak_rss_bytes: int = 0
    threads: int = 0
    uptime_seconds: float = 0.0
    container: Optional[Container] = None
    page_tables_bytes: int = 0
    kernel_stacks_bytes: int = 0
    huge_pool_bytes: int = 0
    huge_pages_bytes: int = 0
    locked_bytes: int = 0
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Problem:
    """A kind of thing that could not be read or made sense of."""

    kind: str
    count: int
    example: str
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Look:
    """How a process was looked at, and for how long it stood still."""

    method: str
    stopped_ms: float
    seconds: float
    problems: Tuple[Problem, ...] = ()
    method_reason: Optional[str] = None
    taken_at: float = 0.0
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Objects:
    """All objects in sum: ``bytes`` by ``sys.getsizeof``, ``allocated_bytes`` by what the
    allocators gave."""

    count: int
    bytes: int
    allocated_bytes: int
    gc_tracked: int
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class TypeRow:
    """The objects of one type in sum, or of the types of one module."""

    name: str
    count: int
    bytes: int
    gc_tracked: int = 0
    allocated_bytes: int = 0
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Part:
    """A part of the resident memory; its own ``parts`` sum to it."""

    category: str
    bytes: int
    count: Optional[int] = None
    parts: Tuple[Part, ...] = ()
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Generation:
    """A generation of the garbage collector; numbers as those of the module ``gc``."""

    objects: int
    threshold: int
    count: int
    collections: int
    collected: int
    uncollectable: int
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Collector:
    """The garbage collector."""

    enabled: bool
    generations: Tuple[Generation, ...]
    frozen: int
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Releasable:
    """Resident bytes that could be given back, by where they are."""

    free_pools: int = 0
    arena_tops: int = 0
    used_pools: int = 0
    malloc: int = 0
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Pools:
    """pymalloc's pools in sum."""

    arenas: int
    used_bytes: int
    free_bytes: int
    releasable_bytes: int
    pools: int = 0
    free_pools: int = 0
    blocks: int = 0
    raw_blocks: Optional[int] = None
    arena_bytes: int = 0
    pool_bytes: int = 0
    fragmentation: float = 0.0
    releasable: Releasable = Releasable()
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Blocks:
    """pymalloc's blocks in use of one kind: ``object``, ``part`` of one, ``free_list``,
    ``possible`` or ``unknown``."""

    kind: str
    blocks: int
    bytes: int
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Pin:
    """What keeps mostly empty memory: blocks of objects of one type."""

    type: str
    blocks: int
    bytes: int
    held_by: str
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Pinned:
    """Mostly empty arenas or pools, and what keeps them."""

    count: int
    resident_bytes: int
    live_bytes: int
    other_blocks: int
    by: Tuple[Pin, ...]
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Pins:
    """Who keeps mostly empty arenas and pools."""

    arenas: Pinned
    emptiest: Tuple[Pinned, ...]
    pools: Pinned
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Cache:
    """A cache of objects: a free list, interned strings, an ``lru_cache``."""

    name: str
    entries: int
    bytes: int
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Large:
    """One of the largest objects. ``address`` is its ``id()``; ``preview`` is there if values
    were asked for."""

    address: int
    type: str
    bytes: int
    held_by: str
    allocated_bytes: int = 0
    preview: Optional[str] = None
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True, repr=False)
class Inspection(_Report):
    """Where the memory of a process is: what :func:`memshed.inspect` answers."""

    process: Process
    snapshot: Look
    objects: Objects
    types: Tuple[TypeRow, ...]
    memory: Tuple[Part, ...]
    gc: Collector
    pools: Pools
    caches: Tuple[Cache, ...]
    blocks: Tuple[Blocks, ...]
    pins: Pins
    largest: Tuple[Large, ...] = ()
    modules: Tuple[TypeRow, ...] = ()
    verdict: Tuple[str, ...] = ()
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Sample:
    """Resident memory at one moment of several."""

    seconds: float
    rss_bytes: int
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Location:
    """A line of the program's sources; ``line`` is 0 if only the file is known."""

    file: str
    line: int
    role: str
    raw: Mapping[str, Any] = _raw()


# The kinds that go on growing; `leaks.schema.json` says so.
_LEAKS = frozenset(["growth", "cycle", "reference-count", "native", "interned"])


@dataclass(frozen=True)
class Finding:
    """Something that leaks, or is worth knowing: who holds it, why, and what to change."""

    kind: str
    title: str
    bytes: int
    bytes_per_second: Optional[float]
    count: int
    types: Tuple[str, ...]
    holder: str
    path: Tuple[str, ...]
    locations: Tuple[Location, ...]
    evidence: Tuple[str, ...]
    fix: str
    confidence: str
    raw: Mapping[str, Any] = _raw()

    @property
    def is_leak(self) -> bool:
        """Whether it goes on growing."""
        return self.kind in _LEAKS


@dataclass(frozen=True, repr=False)
class Leaks(_Report):
    """What leaks in a process: what :func:`memshed.leaks` answers. Most important first."""

    process: Process
    snapshot: Look
    seconds: float
    stopped_ms: float
    looks: Tuple[Sample, ...]
    findings: Tuple[Finding, ...]
    verdict: Tuple[str, ...] = ()
    remarks: Tuple[str, ...] = ()
    raw: Mapping[str, Any] = _raw()

    @property
    def leaking(self) -> Tuple[Finding, ...]:
        """The findings that are leaks."""
        return tuple(finding for finding in self.findings if finding.is_leak)

    def _lines(self) -> Tuple[str, ...]:
        titles = (f"{number}. {one.title}" for number, one in enumerate(self.findings, 1))
        return (*self.verdict, *titles)


@dataclass(frozen=True)
class Amount:
    """Bytes of one name."""

    name: str
    bytes: int
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class MemorySummary:
    """Resident bytes by what they hold; the parts sum to them."""

    rss_bytes: int
    memory: Tuple[Amount, ...]
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class ReleaseStep:
    """A way to give memory back: what it would give beforehand, if that can be told, and what it
    gave, if it was done."""

    name: str
    releasable_bytes: Optional[int]
    released_bytes: Optional[int]
    stopped_ms: float
    took_ms: float
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class ReleaseCache:
    """A cache that can be emptied; ``option`` is what ``caches=`` calls it."""

    option: str
    name: str
    entries: int
    bytes: int
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True, repr=False)
class Release(_Report):
    """What a process gave back: what :func:`memshed.release` answers. ``after`` is ``None`` if
    nothing was done."""

    pid: int
    dry_run: bool
    before: MemorySummary
    after: Optional[MemorySummary]
    steps: Tuple[ReleaseStep, ...]
    releasable_bytes: int
    released_bytes: int
    stopped_ms: float
    took_ms: float
    seconds: float
    caches: Tuple[ReleaseCache, ...] = ()
    notes: Tuple[str, ...] = ()
    raw: Mapping[str, Any] = _raw()

    def _lines(self) -> Tuple[str, ...]:
        rss = size(self.before.rss_bytes)
        if self.after is not None:
            return (
                f"Process {self.pid} gave {size(self.released_bytes)} back: {rss} resident before, "
                f"{size(self.after.rss_bytes)} now.",
                f"It spent {self.took_ms:.0f} ms on that, and waited for at most "
                f"{self.stopped_ms:.1f} ms at a time.",
            )
        if self.dry_run:
            could = size(self.releasable_bytes)
            return (f"Process {self.pid} could give {could} of its {rss} back.",)
        return (f"Process {self.pid} has nothing to give back of its {rss}.",)


@dataclass(frozen=True)
class Tally:
    """Objects and their bytes."""

    count: int
    bytes: int
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Change:
    """Objects of one type, or entries of one cache, before and after."""

    name: str
    old: Tally
    new: Tally
    growth: Tally
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class PartChange:
    """A part of the resident memory before and after."""

    category: str
    old_bytes: int
    new_bytes: int
    parts: Tuple[PartChange, ...] = ()
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Place:
    """Where objects were added: what held them was there before."""

    place: str
    added: Tally
    gone: Tally
    growth: Tally
    containers: int
    types: Tuple[TypeRow, ...]
    entry_type: str
    entries: int
    container: Optional[str] = None
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Lives:
    """What became of the objects of one process between two looks."""

    survived: Tally
    created: Tally
    gone: Tally
    places: Tuple[Place, ...]
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Side:
    """One of two looks that were compared."""

    process: Process
    snapshot: Look
    objects: Tally
    pools: Pools
    gc: Collector
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Native:
    """Memory in use that is no object's, of one kind, size and owner."""

    kind: str
    owner: Optional[str]
    size: int
    old: Tally
    new: Tally
    growth: Tally
    points_into: Tuple[str, ...]
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True, repr=False)
class Diff(_Report):
    """What grew between two looks: what :func:`memshed.diff` answers. ``objects`` is there if both
    are of one process."""

    relation: str
    seconds: float
    old: Side
    new: Side
    types: Tuple[Change, ...]
    memory: Tuple[PartChange, ...]
    native: Tuple[Native, ...]
    caches: Tuple[Change, ...]
    objects: Optional[Lives] = None
    verdict: Tuple[str, ...] = ()
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Step:
    """A step of a way from an object to what holds it."""

    how: str
    type: str
    address: int
    name: Optional[str] = None
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Root:
    """Where a way begins, and why that is alive by itself."""

    kind: str
    name: str
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Way:
    """A way in which objects are held."""

    way: str
    objects: int
    alone: int
    holders: int
    frees_bytes: int
    steps: Tuple[Step, ...]
    root: Root
    bytes: int = 0
    container: Optional[str] = None
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True)
class Keeper:
    """An object that alone keeps others alive."""

    path: str
    type: str
    address: int
    frees_bytes: int
    is_module: bool
    one_cut: bool
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True, repr=False)
class Why(_Report):
    """Why something is there: what :func:`memshed.why` answers. ``meaning`` is ``object``,
    ``type`` or ``place``."""

    process: Process
    snapshot: Look
    meaning: str
    name: str
    objects: Tally
    unreached: int
    held_by_c: int
    retained: Tally
    retained_types: Tuple[TypeRow, ...]
    ways: Tuple[Way, ...]
    more_ways: int
    dominator: Optional[Keeper] = None
    cut: Optional[Keeper] = None
    address: Optional[int] = None
    type: Optional[str] = None
    preview: Optional[str] = None
    verdict: Tuple[str, ...] = ()
    raw: Mapping[str, Any] = _raw()


@dataclass(frozen=True, repr=False)
class Snapshot(_Report):
    """A snapshot that was written: what :func:`memshed.snapshot` answers."""

    path: str
    bytes: int
    objects: int
    edges: int
    pid: int
    snapshot: Look
    raw: Mapping[str, Any] = _raw()

    def _lines(self) -> Tuple[str, ...]:
        return (
            f"Wrote {self.path}: {self.objects:,} objects and {self.edges:,} edges of process "
            f"{self.pid} in {size(self.bytes)}.",
        )

    def __fspath__(self) -> str:
        return self.path
