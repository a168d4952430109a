"""The functions on real processes: the own one, and others."""

import contextlib
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings
from unittest import mock

import memshed
from memshed import _binary, _permit, _run

from support import children, permit_all, python, until


# Those that watch for a while, or start many commands, say little about a version of Python.
slow = unittest.skipIf(os.environ.get("MEMSHED_TESTS") == "quick", "quick tests only")


class Marker:
    """Something to count."""


class Leaked:
    """Something to leak."""


HELD = [Marker() for _ in range(1234)]
LARGE = [None] * 200_000


class Own(unittest.TestCase):
    def tearDown(self):
        self.assertEqual(children(), [], "children are left")

    def test_inspect_tells_the_truth(self):
        seen = memshed.inspect()
        self.assertEqual(seen.process.pid, os.getpid())
        self.assertEqual(seen.process.python, sys.version.split()[0].rstrip("+"))
        name = f"{__name__}.Marker"
        (row,) = (row for row in seen.types if row.name == name)
        self.assertEqual((row.count, row.bytes), (1234, 1234 * sys.getsizeof(HELD[0])))
        self.assertEqual(sum(part.bytes for part in seen.memory), seen.process.rss_bytes)
        self.assertIn(id(LARGE), [one.address for one in seen.largest])
        self.assertEqual({one.preview for one in seen.largest}, {None})
        self.assertRegex(str(seen), r"\AThis program takes [\d.]+ MB of memory")
        self.assertRegex(repr(seen), r"\A<Inspection: This program takes .*>\Z")

    @slow
    def test_contents_come_only_when_asked_for(self):
        seen = memshed.inspect(os.getpid(), values=True, by_module=True, top=0, max_stop=30)
        (large,) = (one for one in seen.largest if one.address == id(LARGE))
        self.assertIn("None", large.preview)
        self.assertIn(__name__, [row.name for row in seen.modules])

    def test_release_gives_back(self):
        hoard = [str(number) * 20 for number in range(150_000)]
        keep = hoard[::97]
        del hoard
        given = memshed.release()
        self.assertEqual(given.pid, os.getpid())
        self.assertGreater(given.released_bytes, 500_000)
        self.assertEqual(sum(part.bytes for part in given.before.memory), given.before.rss_bytes)
        self.assertEqual(given.released_bytes, given.before.rss_bytes - given.after.rss_bytes)
        self.assertRegex(str(given), r"gave [\d.]+ MB back")
        del keep

    @slow
    def test_release_in_all_its_ways(self):
        hoard = [str(number) * 20 for number in range(100_000)]
        del hoard[::2]
        before = memshed.release(dry_run=True)
        self.assertIsNone(before.after)
        self.assertIn("could give", str(before))
        self.assertIn("retire-pools", [step.name for step in memshed.release(hard=True).steps])
        self.assertIn("undo", [step.name for step in memshed.release(undo=True).steps])
        steps = [step.name for step in memshed.release(collect=True, caches=True).steps]
        self.assertIn("collect", steps)
        self.assertIn("caches", steps)
        memshed.release(caches=["re", "linecache"])
        with self.assertRaisesRegex(memshed.MemshedError, "cannot be used with"):
            memshed.release(hard=True, undo=True)

    @slow
    def test_what_grew_and_why_it_is_there(self):
        with tempfile.TemporaryDirectory() as folder:
            # A name that is a number is no process.
            path = os.path.join(folder, "1")
            written = memshed.snapshot(path)
            self.assertEqual((written.path, written.pid), (path, os.getpid()))
            self.assertEqual(memshed.inspect(pathlib.Path(path)).process.pid, os.getpid())
            added = [Marker() for _ in range(77)]
            HELD.append(added)
            grown = memshed.diff(path)
            HELD.pop()
            del added
            with self.assertRaises(memshed.MemshedError) as caught:
                memshed.snapshot(path)
            self.assertIn("already", str(caught.exception))
            memshed.snapshot(path, overwrite=True)
        self.assertEqual(grown.relation, "same_process")
        (row,) = (row for row in grown.types if row.name == f"{__name__}.Marker")
        self.assertEqual((row.old.count, row.growth.count), (1234, 77))
        reason = memshed.why(id(LARGE))
        self.assertEqual((reason.address, reason.type), (id(LARGE), "list"))
        self.assertEqual(reason.name, f"{__name__}.LARGE")
        self.assertEqual(memshed.why(f"{__name__}.Marker").objects.count, 1234)

    @slow
    def test_leaks_are_found_while_others_work(self):
        done = threading.Event()
        leak = []
        turns = 0

        def work():
            nonlocal turns
            while not done.wait(0.01):
                leak.append(Leaked())
                leak.append(bytearray(20_000))
                turns += 1

        globals()["LEAK"] = leak
        thread = threading.Thread(target=work)
        thread.start()
        try:
            before = turns
            # On a busy machine looks are few.
            for seconds in (2, 6, 20):
                answer = memshed.leaks(seconds=seconds)
                if answer.leaking:
                    break
            self.assertGreater(turns - before, 20, "the GIL was not released")
        finally:
            done.set()
            thread.join()
            del globals()["LEAK"]
        self.assertEqual([one.kind for one in answer.leaking][:1], ["growth"], str(answer))
        self.assertEqual(answer.leaking[0].holder, f"{__name__}.LEAK")
        self.assertTrue(answer.leaking[0].fix)
        self.assertIn("1. ", str(answer))

    def test_calls_at_once_wait_for_each_other(self):
        answers, errors = [], []

        def call():
            try:
                answers.append(memshed.release(dry_run=True))
            except memshed.MemshedError as error:
                errors.append(error)

        threads = [threading.Thread(target=call) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((len(answers), errors), (2, []))

    @slow
    def test_a_forked_child_may_call_while_a_thread_calls(self):
        thread = threading.Thread(target=lambda: memshed.leaks(seconds=0.5))
        thread.start()
        until(lambda: os.getpid() in _run._locks and children())
        with warnings.catch_warnings():
            # As those do who fork in spite of their threads.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                good = memshed.inspect(timeout=30).process.pid == os.getpid()
                os._exit(0 if good else 1)
            os._exit(2)
        _, status = os.waitpid(child, 0)
        thread.join()
        self.assertEqual(status, 0)

    @slow
    def test_nothing_is_left_after_a_timeout(self):
        with self.assertRaises(memshed.Timeout) as caught:
            memshed.leaks(seconds=60, timeout=0.4)
        self.assertIn("0.4 s", str(caught.exception))
        self.assertEqual(children(), [])
        memshed.release(dry_run=True)

    @slow
    def test_nothing_is_left_after_an_exception_at_any_moment(self):
        class Stop(Exception):
            pass

        def stop(*_):
            raise Stop

        def strike(delay):
            until(children)
            time.sleep(delay)
            os.kill(os.getpid(), signal.SIGALRM)

        before = signal.signal(signal.SIGALRM, stop)
        try:
            for delay in (0.02, 0.05, 0.08, 0.12, 0.16):
                thread = threading.Thread(target=strike, args=[delay])
                thread.start()
                with contextlib.suppress(Stop):
                    memshed.leaks(seconds=60)
                    self.fail("not interrupted")
                thread.join()
                # A command that was being started ends by itself, and subprocess takes notice.
                until(lambda: subprocess._cleanup() or not children())
        finally:
            signal.signal(signal.SIGALRM, before)
        memshed.release(dry_run=True)

    @slow
    def test_children_may_be_ignored(self):
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            self.assertEqual(memshed.release(dry_run=True).pid, os.getpid())
            with self.assertRaises(memshed.Gone):
                memshed.inspect(2**22 + 1)
        finally:
            signal.signal(signal.SIGCHLD, before)

    @slow
    def test_another_memshed_is_an_error_of_its_own(self):
        with open("/proc/self/stat") as file:
            # What a tracer holds for as long as it looks.
            fcntl.flock(file, fcntl.LOCK_EX)
            with self.assertRaises(memshed.Busy) as caught:
                memshed.inspect()
        self.assertTrue(caught.exception.hint)


class Readme(unittest.TestCase):
    @slow
    def test_its_example_runs(self):
        page = pathlib.Path(__file__).parents[2] / "README.md"
        section = page.read_text(encoding="utf-8").split("\n## From Python\n")[1]
        program = section.split("```python\n")[1].split("```")[0]
        program = program.replace("seconds=30", "seconds=1")
        told = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, check=True, timeout=100
        ).stdout.decode()
        self.assertIn("held by __main__.PAGES", told)


class Permits(unittest.TestCase):
    """What is permitted to whom, and for how long. What the kernel makes of it is tested where it
    asks for it: `Unprivileged`."""

    def setUp(self):
        self.named = []
        self.commands = []
        start = subprocess.Popen

        def note(arguments, **options):
            process = start(arguments, **options)
            self.commands.append(process.pid)
            return process

        asked_for = _permit.yama_scope() == 1
        permit = _permit._prctl

        def prctl(pid):
            self.named.append(pid)
            return permit(pid) if asked_for else True

        for patch in (
            mock.patch.object(_permit, "yama_scope", lambda: 1),
            mock.patch.object(_permit, "_prctl", prctl),
        ):
            patch.start()
            self.addCleanup(patch.stop)
        _binary.find()
        patch = mock.patch.object(_run.subprocess, "Popen", note)
        patch.start()
        self.addCleanup(patch.stop)

    def test_the_command_alone_is_permitted_and_only_while_it_runs(self):
        memshed.release(dry_run=True)
        self.assertEqual(self.named, [*self.commands, 0])
        with self.assertRaises(memshed.MemshedError):
            memshed.inspect(top=-1)
        self.assertEqual(self.named[2:], [self.commands[1], 0])

    @slow
    def test_on_a_timeout_its_tracer_is_permitted_to_clean_up(self):
        with self.assertRaises(memshed.Timeout):
            memshed.leaks(seconds=60, timeout=0.5)
        self.assertEqual((self.named[0], self.named[-1]), (self.commands[0], 0))
        self.assertLessEqual(len(self.named), 3)
        self.assertNotIn(-1, self.named)

    @slow
    def test_a_refusal_is_told_and_nothing_is_left(self):
        with mock.patch.object(_permit, "_prctl", lambda pid: False):
            with self.assertRaisesRegex(memshed.NoPermission, "prctl"):
                memshed.inspect()
        self.assertEqual(children(), [])

    @slow
    def test_nothing_is_permitted_to_look_at_others(self):
        with python("import time; print(flush=True); time.sleep(60)") as other:
            memshed.release(other.pid, dry_run=True)
        self.assertEqual(self.named, [])


class Others(unittest.TestCase):
    @slow
    def test_another_process(self):
        program = "import sys; kept = [b'x' * 100] * 5000; print(flush=True); sys.stdin.read()"
        with python(program) as other:
            seen = memshed.inspect(other.pid)
            self.assertEqual(seen.process.pid, other.pid)
            self.assertEqual(memshed.why("__main__.kept", other.pid).type, "list")
            self.assertEqual(memshed.release(other.pid, dry_run=True).pid, other.pid)

    @slow
    def test_what_is_not_python(self):
        process = subprocess.Popen(["sleep", "60"], preexec_fn=permit_all)
        try:
            with self.assertRaises(memshed.NotPython) as caught:
                memshed.inspect(process.pid)
        finally:
            process.kill()
            process.wait()
        self.assertIn("child", caught.exception.hint)

    @slow
    def test_what_is_not_there(self):
        with self.assertRaises(memshed.Gone) as caught:
            memshed.inspect(2**22 + 1)
        self.assertIn("memshed ps", caught.exception.hint)
        with self.assertRaisesRegex(memshed.MemshedError, "no snapshot"):
            memshed.inspect("no/such/snapshot")


class Binaries(unittest.TestCase):
    def fake(self, folder, output):
        path = os.path.join(folder, "memshed")
        with open(path, "w") as file:
            file.write(f"#!/bin/sh\necho {output}\n")
        os.chmod(path, 0o755)
        return path

    @slow
    def test_a_named_one_must_fit(self):
        with tempfile.TemporaryDirectory() as folder:
            for output, why in [("memshed 99.0.0", "99.0.0"), ("hello", "not memshed")]:
                path = self.fake(folder, output)
                with mock.patch.dict(os.environ, MEMSHED_BINARY=path):
                    with self.assertRaisesRegex(memshed.BinaryNotFound, why):
                        memshed.inspect()
                os.unlink(path)
            with mock.patch.dict(os.environ, MEMSHED_BINARY=path):
                with self.assertRaisesRegex(memshed.BinaryNotFound, "No such file"):
                    memshed.inspect()

    @slow
    def test_one_that_does_not_fit_is_passed_by(self):
        with tempfile.TemporaryDirectory() as wrong, tempfile.TemporaryDirectory() as right:
            self.fake(wrong, "memshed 99.0.0")
            fitting = self.fake(right, f"memshed {memshed.__version__}")
            environment = {"PATH": right, "MEMSHED_BINARY": ""}
            with mock.patch.dict(os.environ, environment), mock.patch.object(
                _binary, "_folders", lambda: iter([wrong, "/nonexistent"])
            ):
                self.assertEqual(_binary.find(), fitting)
                os.environ["PATH"] = "/nonexistent"
                with self.assertRaisesRegex(memshed.BinaryNotFound, "99.0.0"):
                    _binary.find()

    @slow
    def test_none_at_all_is_told_with_what_to_do(self):
        environment = {"PATH": "/nonexistent", "MEMSHED_BINARY": ""}
        with mock.patch.dict(os.environ, environment), mock.patch.object(
            _binary, "_folders", lambda: iter(["/nonexistent"])
        ):
            with self.assertRaises(memshed.BinaryNotFound) as caught:
                memshed.inspect()
        self.assertIn("install the wheel", caught.exception.hint)


def as_nobody(program):
    """Runs ``program`` in a fork of this process that is nobody's; its exit status and what it
    raised. Where this process is not root's, it is somebody's already."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        told = "fine"
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            program()
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(writing, told.encode()[:4000])
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        told = file.read()
    os.waitpid(child, 0)
    return told


def reachable():
    """Whether nobody can read the interpreter and run the command."""
    places = [sys.executable, os.environ.get("MEMSHED_BINARY") or _binary.find()]
    with open("/proc/self/maps") as file:
        places += [line.split()[-1] for line in file if "libpython" in line]
    others = 0o5 if os.geteuid() == 0 else 0
    for place in map(os.path.realpath, places):
        for path in [pathlib.Path(place), *pathlib.Path(place).parents]:
            wanted = others & (0o1 if path.is_dir() else 0o5)
            if path.stat().st_mode & wanted != wanted:
                return False
    return True


def be_dumpable(wanted=1):
    import ctypes

    # A process that has changed its user is not (prctl(2), PR_SET_DUMPABLE).
    ctypes.CDLL(None).prctl(4, wanted, 0, 0, 0)


class Unprivileged(unittest.TestCase):
    """Without any right but a user's own. Under Yama's scope 1 none of this works without the
    permit."""

    def setUp(self):
        if not reachable():
            self.skipTest("nobody may not read this interpreter or run the command")
        if _permit.yama_scope() in (2, 3):
            self.skipTest("Yama lets nobody look at anything")

    def test_the_own_process(self):
        def program():
            be_dumpable()
            assert memshed.inspect().process.pid == os.getpid()
            assert memshed.release(dry_run=True).pid == os.getpid()
            memshed.release()
            try:
                memshed.leaks(seconds=60, timeout=0.6)
            except memshed.Timeout:
                pass
            assert children() == [], children()
            memshed.inspect()

        self.assertEqual(as_nobody(program), "fine")

    def test_the_permit_ends_with_the_call(self):
        """Whoever was not named may not look, neither during the call nor afterwards."""
        if _permit.yama_scope() != 1:
            self.skipTest("without Yama's scope 1 there is nothing to permit")

        def program():
            be_dumpable()
            memshed.inspect()
            with mock.patch.object(_permit, "_prctl", lambda pid: True):
                try:
                    memshed.inspect()
                except memshed.NoPermission as error:
                    assert "ptrace_scope" in str(error), error
                else:
                    raise AssertionError("the permit was not needed")
            memshed.inspect()

        self.assertEqual(as_nobody(program), "fine")

    def test_a_process_that_is_not_dumpable(self):
        def program():
            be_dumpable(0)
            memshed.inspect()

        told = as_nobody(program)
        self.assertRegex(told, r"\ANoPermission: process \d+ is not dumpable")
        self.assertIn("PR_SET_DUMPABLE", told)


if __name__ == "__main__":
    sys.exit(unittest.main())
