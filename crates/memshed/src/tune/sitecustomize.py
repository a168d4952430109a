"""What `memshed tune` puts before a program: it applies settings of the collector from outside,
and notes in a small shared file how the collector and the memory fare. Python imports it at start
(module `site`); it then makes way for a sitecustomize of the program's own. It must never fail,
say anything, or keep the program from anything.

The file is sixteen doubles: 0 version, 1 collections, 2 seconds in them, 3 the longest one,
4 when it froze (seconds since start; 0: not yet), 5 set by memshed once start-up is over, 6 and 7
resident and most resident bytes at exit, 8 whether the library asked for is loaded,
9 interpreter (1 CPython, 2 CPython without a GIL, 3 another), 10 its version (3.12 is 312),
11 whether it can do what was asked, 12 whether the program has set thresholds of its own.
"""

import sys


def _begin():
    import gc
    import os
    import time

    get = os.environ.get
    folder = get("MEMSHED_TUNE_RECORDS")
    if not folder or not os.path.isdir(folder):
        return
    import mmap

    began = time.monotonic()
    clock = getattr(time, "thread_time", None)
    wants_freeze = bool(get("MEMSHED_TUNE_FREEZE"))
    wanted = get("MEMSHED_TUNE_THRESHOLDS")
    thresholds = [int(n) for n in wanted.split(",")] if wanted else None

    def record():
        path = os.path.join(folder, "%d-%d" % (os.getpid(), time.monotonic_ns()))
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(file, 128)
                shared = memoryview(mmap.mmap(file, 128)).cast("d")
            finally:
                os.close(file)
        except Exception:
            # It has become another user, or cannot see the folder any more: nobody reads this.
            return memoryview(bytearray(128)).cast("d")
        shared[0] = 1.0
        return shared

    def describe(shared):
        gil = getattr(sys, "_is_gil_enabled", lambda: True)()
        shared[9] = 3.0 if sys.implementation.name != "cpython" else 1.0 if gil else 2.0
        shared[10] = sys.version_info[0] * 100.0 + sys.version_info[1]
        library = get("MEMSHED_TUNE_LIBRARY")
        if library:
            with open("/proc/self/maps") as maps:
                shared[8] = float(library in maps.read())

    # Python 2 has no nonlocal variables, and must get by this file too.
    class state:
        # When memory is looked at next, and what it was then; see `is_steady`.
        due, last = 0.5, 0
        # Since when it is looked at.
        since = began
        started = 0.0
        freezes = wants_freeze
        forked = False
        youngest = 0
        shared = record()

    describe(state.shared)
    can = clock is not None and hasattr(gc, "callbacks") and hasattr(gc, "freeze")
    state.shared[11] = float(can or not (wants_freeze or thresholds))
    if not can:
        return

    def resident():
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1])

    def is_steady():
        # Start-up is over when memory has grown by less than a tenth while the age went up by
        # half: that holds at every scale, and a program that is still loading fails it.
        age = time.monotonic() - state.since
        if age < state.due:
            return False
        now, before = resident(), state.last
        state.due, state.last = age * 1.5, now
        return 0 < before and now <= before * 1.1

    def freeze():
        gc.freeze()
        if not state.shared[4]:
            state.shared[4] = time.monotonic() - began

    def set_thresholds(*all):
        gc.set_threshold(*all)
        state.youngest = all[0]

    def watch(phase, info):
        if phase == "start":
            state.started = clock()
            return
        took = clock() - state.started
        if state.shared is None:
            # The first collection of a forked child.
            state.shared = record()
            describe(state.shared)
            state.shared[11] = 1.0
        shared = state.shared
        shared[1] += 1
        shared[2] += took
        if took > shared[3]:
            shared[3] = took
        if state.freezes and (shared[5] or is_steady()):
            state.freezes = False
            freeze()
            if thresholds:
                set_thresholds(*thresholds)

    def forked():
        # What it is to do may only be loaded now: it freezes once more when that is over.
        state.shared = None
        state.freezes, state.forked = wants_freeze, False
        state.since = time.monotonic()
        state.due, state.last = 0.5, 0

    def forking():
        # What is there before the workers are forked is shared with them, and stays so only if
        # the collector does not write into it.
        if state.freezes and not state.forked:
            state.forked = True
            freeze()

    def ended():
        if state.shared is not None:
            if state.youngest and gc.get_threshold()[0] != state.youngest:
                state.shared[12] = 1.0
            with open("/proc/self/status") as status:
                for line in status:
                    if line.startswith(("VmRSS:", "VmHWM:")):
                        at = 6 if line.startswith("VmRSS") else 7
                        state.shared[at] = int(line.split()[1]) * 1024.0

    def quietly(function):
        # In a changed root there may be no /proc.
        def quiet(*arguments):
            try:
                function(*arguments)
            except Exception:
                pass

        return quiet

    import atexit

    gc.callbacks.append(quietly(watch))
    os.register_at_fork(before=quietly(forking), after_in_child=forked)
    atexit.register(quietly(ended))
    if thresholds and wants_freeze:
        # The youngest objects are collected as often as before, so that it is noticed soon when
        # start-up is over.
        set_thresholds(gc.get_threshold()[0], *thresholds[1:])
    elif thresholds:
        set_thresholds(*thresholds)


def _make_way():
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    sys.path_importer_cache.pop(here, None)
    if sys.version_info[0] < 3:
        del sys.modules["sitecustomize"]
        __import__("sitecustomize")
        return
    for finder in sys.meta_path:
        spec = finder.find_spec("sitecustomize", None) if hasattr(finder, "find_spec") else None
        if spec is not None and spec.loader is not None:
            from _frozen_importlib import module_from_spec

            module = module_from_spec(spec)
            sys.modules["sitecustomize"] = module
            spec.loader.exec_module(module)
            return


try:
    _begin()
except Exception:
    pass
_make_way()
