"""Where the ``memshed`` command is. One wheel carries it and this package; anything else has to
be of a version that fits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from typing import Dict, Iterator, List, Optional, Tuple

from ._errors import BinaryNotFound, MemshedError
from ._version import __version__

_NAME = "memshed"
_ENVIRONMENT = "MEMSHED_BINARY"
_INSTALL = f"install the wheel of memshed {__version__} again, which carries both"

# Versions that were asked for, by path, time and size of the file.
_versions: Dict[Tuple[str, int, int], str] = {}


def find() -> str:
    """The path of a command that fits this package."""
    if not sys.platform.startswith("linux"):
        raise MemshedError(f"memshed works on Linux, not on {sys.platform}")
    named = os.environ.get(_ENVIRONMENT)
    if named:
        why = _unfit(named)
        if why is None:
            return named
        raise BinaryNotFound(
            f"{_ENVIRONMENT} is {named}, {why}", f"unset {_ENVIRONMENT}, or mend it"
        )
    misfits: List[str] = []
    for path in _candidates():
        why = _unfit(path)
        if why is None:
            return path
        misfits.append(f"{path}, {why}")
    if misfits:
        raise BinaryNotFound(
            "no memshed command fits this package: " + "; ".join(misfits), _INSTALL
        )
    raise BinaryNotFound(
        "there is no memshed command beside this package or on PATH",
        f"{_INSTALL}; or name it in the environment variable {_ENVIRONMENT}",
    )


def _candidates() -> Iterator[str]:
    """Those that exist, likeliest first."""
    seen = set()
    for folder in _folders():
        path = os.path.join(folder, _NAME)
        if path not in seen and os.access(path, os.X_OK) and os.path.isfile(path):
            seen.add(path)
            yield path
    on_path = shutil.which(_NAME)
    if on_path is not None and on_path not in seen:
        yield on_path


def _folders() -> Iterator[str]:
    packages = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    # PREFIX/lib/pythonX.Y/site-packages, whatever the prefix: a virtual environment, ~/.local,
    # or another one that is on the path of this interpreter.
    yield os.path.normpath(os.path.join(packages, "..", "..", "..", "bin"))
    # `pip install --target DIRECTORY`
    yield os.path.join(packages, "bin")
    yield sysconfig.get_path("scripts")
    user = "posix_user"
    if user in sysconfig.get_scheme_names():
        yield sysconfig.get_path("scripts", user)
    if sys.executable:
        yield os.path.dirname(sys.executable)


def _unfit(path: str) -> Optional[str]:
    """Why ``path`` cannot be used; ``None`` if it can."""
    try:
        status = os.stat(path)
        key = (path, status.st_mtime_ns, status.st_size)
        version = _versions.get(key)
        if version is None:
            version = _versions[key] = _ask(path)
    except OSError as error:
        return f"which cannot be run ({error.strerror})"
    except (subprocess.SubprocessError, ValueError):
        return "which is not memshed"
    if _series(version) != _series(__version__):
        return f"which is version {version}, and this package {__version__}"
    return None


def _ask(path: str) -> str:
    told = subprocess.run(
        [path, "--version"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=20,
        check=False,
    )
    name, version = told.stdout.decode("utf-8", "replace").split()[:2]
    if name != _NAME:
        raise ValueError(name)
    return version


def _series(version: str) -> List[str]:
    """Versions of one series understand each other; before 1.0 those of one minor number."""
    numbers = version.split(".")
    return numbers[: 2 if numbers[0] == "0" else 1]
