"""What `memshed tune` puts before a program: it applies settings of the collector from outside,
and notes in a small shared file how the collector and the memory fare. Python imports it at start
(module `site`); it then makes way for a sitecustomize of the program's own. It must never fail,
say anything, or keep the program from anything.

The file is sixteen doubles: 0 version, 1 collections, 2 seconds in them, 3 the longest one,
4 when it froze (seconds since start; 0: not yet), 5 set by memshed once start-up is over, 6 and 7
resident and most resident bytes at exit, 8 whether the library asked for is loaded,
9 interpreter (1 CPython, 2 CPython without a GIL, 3 another), 10 its version (3.12 is 312),
11 whether it can do what was asked.
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
    clock = time.thread_time
    freezes = bool(get("MEMSHED_TUNE_FREEZE"))
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
        if os.path.exists(os.path.join(folder, "ready")):
            shared[5] = 1.0
        return shared

    def describe(shared):
        gil = getattr(sys, "_is_gil_enabled", lambda: True)()
        shared[9] = 3.0 if sys.implementation.name != "cpython" else 1.0 if gil else 2.0
        shared[10] = sys.version_info[0] * 100.0 + sys.version_info[1]
        library = get("MEMSHED_TUNE_LIBRARY")
        if library:
            with open("/proc/self/maps") as maps:
                shared[8] = float(library in maps.read())

    shared = record()
    describe(shared)
    can = hasattr(gc, "callbacks") and hasattr(gc, "freeze")
    shared[11] = float(can or not (freezes or thresholds))
    if not can:
        return

    def resident():
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1])

    # When memory is looked at next, and what it was then; see `is_steady`.
    due, last = 0.5, 0
    started = 0.0

    def is_steady():
        # Start-up is over when memory has grown by less than a tenth while the age went up by
        # half: that holds at every scale, and a program that is still loading fails it.
        nonlocal due, last
        age = time.monotonic() - began
        if age < due:
            return False
        now, before = resident(), last
        due, last = age * 1.5, now
        return 0 < before and now <= before * 1.1

    def freeze():
        nonlocal freezes
        freezes = False
        gc.freeze()
        if thresholds:
            gc.set_threshold(*thresholds)
        shared[4] = time.monotonic() - began

    def watch(phase, info):
        nonlocal started, shared
        if phase == "start":
            started = clock()
            return
        took = clock() - started
        if shared is None:
            # The first collection of a forked child.
            shared = record()
            describe(shared)
            shared[11] = 1.0
        shared[1] += 1
        shared[2] += took
        if took > shared[3]:
            shared[3] = took
        if freezes and (shared[5] or is_steady()):
            freeze()

    def forked():
        nonlocal shared
        shared = None

    def forking():
        # What is there before the workers are forked is shared with them, and stays so only if
        # the collector does not write into it.
        if freezes:
            freeze()

    def ended():
        if shared is not None:
            with open("/proc/self/status") as status:
                for line in status:
                    if line.startswith(("VmRSS:", "VmHWM:")):
                        at = 6 if line.startswith("VmRSS") else 7
                        shared[at] = int(line.split()[1]) * 1024.0

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
    if thresholds and freezes:
        # The youngest objects are collected as often as before, so that it is noticed soon when
        # start-up is over.
        gc.set_threshold(gc.get_threshold()[0], *thresholds[1:])
    elif thresholds:
        gc.set_threshold(*thresholds)


def _make_way():
    import os

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != here]
    sys.path_importer_cache.pop(here, None)
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
