"""Running the command: on this process or another, one look at a process at a time.

This process may be the one that is looked at. So the calling thread waits in poll(2), the GIL
released; nothing is permitted to anybody but the command, and no longer than it runs; and it is
never left half done, whatever exception comes: a copy of this process that nobody is permitted to
reap would stay as its zombie child.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from . import _binary
from ._errors import MemshedError, NoPermission, Timeout, from_story
from ._permit import Permit, is_dumpable

_SCHEMA = 1
# How long the command, and then its tracer, may take to end when told to.
_GRACE = 20.0

# Two looks at one process would refuse each other. Re-entrant, so that a call from a signal
# handler during another is refused, too, instead of waiting for itself.
_locks: Dict[int, threading.RLock] = {}


def _after_fork() -> None:
    # A thread that held one is not there in the child.
    _locks.clear()


os.register_at_fork(after_in_child=_after_fork)


def run(arguments: Sequence[str], pid: Optional[int], timeout: Optional[float]) -> Dict[str, Any]:
    """Runs the command with ``arguments``, and gives the JSON document that it writes.

    ``pid`` is the process that is looked at, if any; a ``timeout`` of ``None`` waits forever.
    """
    binary = _binary.find()
    if pid is None:
        return _run(binary, arguments, None, timeout)
    began = time.monotonic()
    lock = _locks.setdefault(pid, threading.RLock())
    if not lock.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
        raise Timeout(
            f"another thread has looked at process {pid} for {timeout:.1f} s", "wait for it"
        )
    try:
        left = None if timeout is None else max(began + timeout - time.monotonic(), 0.001)
        return _run(binary, arguments, pid, left)
    finally:
        lock.release()


def _run(
    binary: str, arguments: Sequence[str], pid: Optional[int], timeout: Optional[float]
) -> Dict[str, Any]:
    own = pid == os.getpid()
    options = ["--format=json", "--color=never"] + (["--await-input"] if own else [])
    with Permit() if own else _Nothing() as permit:
        process = subprocess.Popen(
            [binary, *options, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Ctrl-C comes to this process, which ends the command in good order.
            start_new_session=True,
        )
        try:
            permit.name(process.pid)
            # It begins with this byte; if there is none, because of an exception, it ends.
            output, errors = process.communicate(b"\n", timeout)
        except subprocess.TimeoutExpired:
            _stop(process, permit)
            raise Timeout(
                f"memshed did not finish within {timeout:.1f} s", "give it more time: timeout=…"
            ) from None
        except BaseException:
            _stop(process, permit)
            raise
    document = _document(output)
    if document is None:
        raise _error(process, errors, own)
    return document


class _Nothing:
    """In place of a permit where other processes are looked at."""

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def name(self, pid: int) -> None:
        pass


def _document(output: bytes) -> Optional[Dict[str, Any]]:
    """What was written, if it is whole. Not asked is how the command ended: where children are
    ignored, or reaped by others, nobody knows."""
    try:
        document = json.loads(output)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    if document.get("schema") != _SCHEMA:
        raise MemshedError(f"the memshed command speaks schema {document.get('schema')}")
    return document


def _error(process: subprocess.Popen[bytes], errors: bytes, own: bool) -> MemshedError:
    code = process.returncode
    ending = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    error = from_story(errors.decode("utf-8", "replace"), ending)
    if own and isinstance(error, NoPermission) and not is_dumpable():
        return NoPermission(
            f"process {os.getpid()} is not dumpable: none but root may look at it",
            "a process that has changed its user (setuid) or called prctl(PR_SET_DUMPABLE, 0) is "
            "not; prctl(PR_SET_DUMPABLE, 1) before the call permits it, to all of its user's "
            "processes",
        )
    return error


def _stop(process: subprocess.Popen[bytes], permit: Any) -> None:
    """Ends the command, and waits until its tracer has cleaned up, which may take a last stop of
    the process that was looked at."""
    try:
        tracers = _tracers(process.pid)
        for tracer in tracers:
            try:
                # Without its parent it is no descendant of the command any more.
                permit.name(tracer)
            except NoPermission:
                # It has ended already.
                pass
        process.terminate()
        try:
            process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _wait_for(tracers)
    finally:
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    # The byte that nobody reads any more.
                    pass


def _wait_for(pids: List[int]) -> None:
    until = time.monotonic() + _GRACE
    while pids and time.monotonic() < until:
        for pid in pids:
            try:
                # This process may be who orphans are given to.
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
        pids = [pid for pid in pids if _state(pid) not in (None, "Z", "X")]
        time.sleep(0.002)


def _stat(pid: int) -> Optional[Tuple[str, int]]:
    """State and parent of a process (proc_pid_stat(5)); ``None`` if it has gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return fields[0], int(fields[1])
    except (OSError, ValueError, IndexError):
        return None


def _state(pid: int) -> Optional[str]:
    stat = _stat(pid)
    return None if stat is None else stat[0]


def _tracers(command: int) -> List[int]:
    """The children of the command that look at processes for it: one, if any."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        stat = _stat(int(name))
        if stat is None or stat[1] != command:
            continue
        try:
            with open(f"/proc/{name}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if words[1:2] == [b"memshed-tracer"]:
            found.append(int(name))
    return found
