"""What can go wrong, as exceptions. It must not know how a command is run."""

from __future__ import annotations

import re
from typing import List, Optional, Tuple, Type


class MemshedError(Exception):
    """memshed could not do what it was asked to.

    ``message`` says what went wrong, ``hint`` what to do about it, where that is known.
    """

    def __init__(self, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"

    def __reduce__(self) -> Tuple[Type[MemshedError], Tuple[str, Optional[str]]]:
        return type(self), (self.message, self.hint)


class BinaryNotFound(MemshedError):
    """There is no ``memshed`` command, or none that fits this package."""


class NoPermission(MemshedError):
    """The system does not let this user look at the process."""


class NotPython(MemshedError):
    """The process does not run CPython."""


class Unsupported(MemshedError):
    """The process runs a version or build of Python that memshed does not know."""


class Gone(MemshedError):
    """There is no such process, or it ended while memshed looked at it."""


class Busy(MemshedError):
    """Another memshed is looking at the process."""


class Timeout(MemshedError):
    """It took longer than allowed."""


# The words of crates/memshed/src/error.rs. The package and its command share a version, and
# python/tests meets each kind in a real process.
_KINDS: List[Tuple[str, Type[MemshedError]]] = [
    ("no permission to look at process", NoPermission),
    ("another memshed is looking at process", Busy),
    (") is not Python", NotPython),
    ("which memshed cannot read", Unsupported),
    ("there is no process", Gone),
    ("ended while memshed looked at it", Gone),
    ("Permission denied", NoPermission),
]

# What the command writes to standard error last: `memshed: …`, and perhaps `hint: …`.
_STORY = re.compile(r"^memshed: (.*?)(?:\nhint: (.*))?\Z", re.MULTILINE | re.DOTALL)


def from_story(text: str, ending: str) -> MemshedError:
    """The error that a command tells of on standard error; ``ending`` is how it ended."""
    text = text.strip()
    story = _STORY.search(text)
    if story is None:
        return MemshedError(f"the memshed command {ending}" + (f": {text}" if text else ""))
    message, hint = story.group(1), story.group(2)
    for words, kind in _KINDS:
        if words in message:
            return kind(message, hint)
    return MemshedError(message, hint)
