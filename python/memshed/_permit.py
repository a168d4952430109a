"""What the kernel wants before another process may look at this one.

Under Yama's ``ptrace_scope`` 1 only ancestors of a process may trace it, and those that it has
named with ``prctl(PR_SET_PTRACER)``, with all of their descendants
(Documentation/admin-guide/LSM/Yama.rst). The memshed command is named for as long as it looks, and
nobody else; its tracer is its child.
"""

from __future__ import annotations

import os
from typing import Optional

from ._errors import NoPermission

# include/uapi/linux/prctl.h: "Yama".
_PR_SET_PTRACER = 0x59616D61

_SCOPE = "/proc/sys/kernel/yama/ptrace_scope"


def yama_scope() -> Optional[int]:
    """Yama's setting; ``None`` if the kernel does without Yama."""
    try:
        with open(_SCOPE, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def is_dumpable() -> bool:
    """Whether those of the same user may look at this process at all.

    The files in /proc of one that is not dumpable belong to root (proc(5)); of root's own
    processes that cannot be told, and does not matter.
    """
    try:
        return os.stat(f"/proc/{os.getpid()}/status").st_uid == os.geteuid()
    except OSError:
        return True


class Permit:
    """Lets one process, and its descendants, look at this one: within a ``with`` block.

    Does nothing where nothing is needed. What the program itself may have said by
    ``PR_SET_PTRACER`` before cannot be asked for, and is taken back with the rest.
    """

    def __init__(self) -> None:
        self._needed = yama_scope() == 1

    def __enter__(self) -> Permit:
        return self

    def __exit__(self, *_: object) -> None:
        if self._needed:
            _prctl(0)

    def name(self, pid: int) -> None:
        """Names the process ``pid``, in place of any that was named before."""
        if self._needed and not _prctl(pid):
            raise NoPermission(
                "the kernel does not let this process permit memshed to look at it",
                "a filter of system calls may forbid prctl(PR_SET_PTRACER); "
                "`memshed doctor` checks what this machine permits",
            )


def _prctl(pid: int) -> bool:
    try:
        import ctypes

        prctl = ctypes.CDLL(None).prctl
    except (ImportError, OSError, AttributeError):
        return False
    zero = ctypes.c_ulong(0)
    # 32-bit or not, prctl(2) takes words.
    return bool(prctl(_PR_SET_PTRACER, ctypes.c_ulong(pid), zero, zero, zero) == 0)
