"""Shows, sheds and explains the memory of Python programs on Linux: this one, or another.

::

    import memshed

    print(memshed.inspect())          # where the memory of this program is
    memshed.release()                 # give back to the system what nobody uses
    print(memshed.leaks(seconds=30))  # what keeps growing, who holds it, what to change

Each function runs the ``memshed`` command, which comes in the same wheel, and gives its answer as
an object with types. The program goes on meanwhile; the calling thread waits, with the GIL released
(in asyncio: ``await asyncio.to_thread(memshed.inspect)``). Calls about one process wait for each
other.

Without a ``pid`` a function looks at the process that calls it, and for that nobody has to be root:
where Yama forbids even that (``kernel.yama.ptrace_scope`` is 1, as on Ubuntu), this process permits
the command to look for as long as it runs, by ``prctl(PR_SET_PTRACER)``. For other processes the
rules are those of the command: ``memshed doctor PID`` checks them.

``pid`` may be a snapshot's path where the command takes one, too. A ``timeout`` is in seconds;
``None`` waits forever. What goes wrong is a :class:`MemshedError`, with a ``hint`` what to do.
"""

from __future__ import annotations

import os
from typing import List, Optional, Sequence, Tuple, Union

from ._errors import (
    BinaryNotFound,
    Busy,
    Gone,
    MemshedError,
    NoPermission,
    NotPython,
    Timeout,
    Unsupported,
)
from ._model import (
    Amount,
    Blocks,
    Cache,
    Change,
    Collector,
    Container,
    Diff,
    Finding,
    Generation,
    Inspection,
    Keeper,
    Large,
    Leaks,
    Lives,
    Location,
    Look,
    MemorySummary,
    Native,
    Objects,
    Part,
    PartChange,
    Pin,
    Pinned,
    Pins,
    Place,
    Pools,
    Problem,
    Process,
    Releasable,
    Release,
    ReleaseCache,
    ReleaseStep,
    Root,
    Sample,
    Side,
    Snapshot,
    Step,
    Tally,
    TypeRow,
    Way,
    Why,
    decode,
)
from ._run import run
from ._version import __version__

__all__ = [
    "Amount",
    "BinaryNotFound",
    "Blocks",
    "Busy",
    "Cache",
    "Change",
    "Collector",
    "Container",
    "Diff",
    "Finding",
    "Generation",
    "Gone",
    "Inspection",
    "Keeper",
    "Large",
    "Leaks",
    "Lives",
    "Location",
    "Look",
    "MemorySummary",
    "MemshedError",
    "Native",
    "NoPermission",
    "NotPython",
    "Objects",
    "Part",
    "PartChange",
    "Pin",
    "Pinned",
    "Pins",
    "Place",
    "Pools",
    "Problem",
    "Process",
    "Releasable",
    "Release",
    "ReleaseCache",
    "ReleaseStep",
    "Root",
    "Sample",
    "Side",
    "Snapshot",
    "Step",
    "Tally",
    "Timeout",
    "TypeRow",
    "Unsupported",
    "Way",
    "Why",
    "__version__",
    "diff",
    "inspect",
    "leaks",
    "release",
    "snapshot",
    "why",
]

#: What can be looked at: ``None`` is this process, a number a process id, a path a snapshot.
Target = Union[None, int, str, "os.PathLike[str]"]


def inspect(
    pid: Target = None,
    *,
    top: int = 15,
    values: bool = False,
    by_module: bool = False,
    max_stop: Optional[float] = None,
    timeout: Optional[float] = 60,
) -> Inspection:
    """Where the memory of a process is: resident bytes by what they hold, objects by type, the
    largest with what holds them, the collector, the pools, the caches.

    ``top`` largest objects are given; all types always. With ``values`` these objects have a
    ``preview`` of what they contain; else nothing but names and sizes is read out. With
    ``by_module`` there are ``modules``, too. A process that would stand still for more than
    ``max_stop`` seconds is refused.

    >>> seen = memshed.inspect()
    >>> seen.process.rss_bytes, seen.types[0].name, seen.pools.releasable_bytes
    (39800832, 'str', 221184)
    """
    word, of = _target(pid)
    arguments = ["inspect", word, f"--top={top}", *_look(values, max_stop)]
    if by_module:
        arguments.append("--by-module")
    return decode(Inspection, run(arguments, of, timeout))


def leaks(
    pid: Target = None,
    *,
    seconds: float = 20,
    max_stop: Optional[float] = None,
    timeout: Optional[float] = None,
) -> Leaks:
    """What leaks: what was made between looks and stays, who holds it, why, and what to change.

    Watches for so many ``seconds``: a slow leak takes longer to show. Without a ``timeout`` it may
    take thrice that time and a minute, as on a busy machine.

    >>> for finding in memshed.leaks(seconds=30).leaking:
    ...     print(finding.title, finding.fix)
    """
    word, of = _target(pid)
    limit = 3 * seconds + 60 if timeout is None else timeout
    arguments = ["leaks", word, *_look(False, max_stop)]
    if of is not None:
        arguments.append(f"--for={seconds:f}s")
    return decode(Leaks, run(arguments, of, limit))


def release(
    pid: Optional[int] = None,
    *,
    dry_run: bool = False,
    hard: bool = False,
    undo: bool = False,
    collect: bool = False,
    caches: Union[bool, Sequence[str]] = False,
    timeout: Optional[float] = 60,
) -> Release:
    """Has a process give memory back to the system that it holds and does not use.

    With ``dry_run`` only says what it would give. ``hard`` retires free pools whole: Python's
    allocator does without them until ``undo``, which does nothing else. With ``collect`` the
    garbage collector runs first, with ``caches`` those that it names are emptied, such as
    ``["re", "functools:app.page"]``; ``True`` stands for some that are soon filled again.

    >>> memshed.release().released_bytes
    48234496
    """
    word, of = _target(pid)
    flags = {"--dry-run": dry_run, "--hard": hard, "--undo": undo, "--collect": collect}
    arguments = ["release", word, *(flag for flag, wanted in flags.items() if wanted)]
    if caches is True:
        arguments.append("--caches")
    elif caches:
        arguments.append("--caches=" + ",".join(caches))
    return decode(Release, run(arguments, of, timeout))


def snapshot(
    path: Union[str, os.PathLike[str]],
    pid: Optional[int] = None,
    *,
    overwrite: bool = False,
    values: bool = False,
    max_stop: Optional[float] = None,
    timeout: Optional[float] = 120,
) -> Snapshot:
    """Keeps the heap of a process as the directory ``path``, for :func:`diff`, for other tools, or
    for another machine. One that is there already is replaced only with ``overwrite``."""
    word, of = _target(pid)
    arguments = ["snapshot", word, f"--output={_path(path)}", *_look(values, max_stop)]
    if overwrite:
        arguments.append("--overwrite")
    return decode(Snapshot, run(arguments, of, timeout))


def diff(
    old: Union[str, os.PathLike[str]],
    new: Target = None,
    *,
    max_stop: Optional[float] = None,
    timeout: Optional[float] = 120,
) -> Diff:
    """What grew from the snapshot ``old`` to ``new``, a later one or a process as it is now: by
    type, by category, and where objects were added.

    >>> memshed.snapshot("before")
    >>> work()
    >>> print(memshed.diff("before"))
    """
    word, of = _target(new)
    arguments = ["diff", _path(old), word, *_look(False, max_stop)]
    return decode(Diff, run(arguments, of, timeout))


def why(
    what: Union[str, int],
    pid: Target = None,
    *,
    top: int = 8,
    values: bool = False,
    max_stop: Optional[float] = None,
    timeout: Optional[float] = 120,
) -> Why:
    """Why something is in memory: what holds it, and what would be freed without that.

    ``what`` is a way from a module (``"app.CACHE"``, ``'app.CACHE["users"]'``), the name of a type
    for all of its objects (``"app.Session"``), or the address of an object: of this process,
    ``id(it)``.
    """
    word, of = _target(pid)
    name = hex(what) if isinstance(what, int) else what
    arguments = ["why", f"--top={top}", *_look(values, max_stop), word, name]
    return decode(Why, run(arguments, of, timeout))


def _target(target: Target) -> Tuple[str, Optional[int]]:
    """What the command calls it, and which process that is."""
    if target is None:
        target = os.getpid()
    if isinstance(target, int):
        return str(target), target
    return _path(target), None


def _path(path: Union[str, os.PathLike[str]]) -> str:
    # Absolute, it can be neither an option nor the number or the name of a process.
    return os.path.abspath(path)


def _look(values: bool, max_stop: Optional[float]) -> List[str]:
    options = ["--values"] if values else []
    if max_stop is not None:
        options.append(f"--max-stop={max_stop:f}s")
    return options
