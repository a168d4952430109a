"""What the tests share: other processes, and what must be left of a look: nothing."""

import contextlib
import ctypes
import os
import subprocess
import sys
import time


def permit_all():
    """Has Yama let anybody look at this process (PR_SET_PTRACER_ANY)."""
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)


@contextlib.contextmanager
def python(program):
    """Another interpreter that runs ``program``, which says when it is ready by a line. Anybody may
    look at it, under Yama, too."""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=permit_all,
    )
    try:
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def children():
    """Names and states of this process's children."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
            before, _, after = file.read().rpartition(")")
            state, parent = after.split()[:2]
            if int(parent) == os.getpid():
                found.append(f"{before})  {state}")
    return found


def until(what, seconds=10):
    """Waits until ``what()`` is true, and gives it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        told = what()
        if told:
            return told
        time.sleep(0.005)
    raise AssertionError(f"never: {what}")
