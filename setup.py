"""Builds the wheel: the `memshed` command, linked statically, and the package over it, for every
Python.

The version is the workspace's, read from Cargo.toml. Everything else is in pyproject.toml.
"""

import os
import pathlib
import re
import subprocess

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools_rust import RustBin

ROOT = pathlib.Path(__file__).parent
TARGET = "x86_64-unknown-linux-gnu"

# A static binary needs no glibc at all. 2.17 is the oldest that Rust's standard library, and
# therefore any dynamic library that joins the wheel later, can promise.
PLATFORM = "manylinux_2_17_x86_64"


def version():
    """The `version` of `[workspace.package]`."""
    manifest = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    return re.search(r'^version = "([^"]+)"', manifest, re.MULTILINE).group(1)


def has_static_libc():
    """Whether the C compiler finds libc.a (some distributions package it apart: glibc-static)."""
    try:
        found = subprocess.run(
            ["cc", "-print-file-name=libc.a"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return False
    return os.path.isabs(found) and os.path.exists(found)


STATIC = has_static_libc()


class EveryPython(bdist_wheel):
    """The wheel contains no extension module, so one serves every Python 3."""

    def get_tag(self):
        """`py3-none`, and a manylinux tag only where the binary really is static."""
        platform = super().get_tag()[2]
        return "py3", "none", PLATFORM if STATIC else platform


def command():
    """The `memshed` binary.

    Naming the target keeps `crt-static` away from procedural macros, which must stay dynamic.
    """
    arguments = ["--locked", "--config", 'profile.release.strip="debuginfo"']
    environment = dict(os.environ)
    if STATIC:
        arguments += ["--target", TARGET]
        flags = [environment.get("RUSTFLAGS", ""), "-Ctarget-feature=+crt-static"]
        environment["RUSTFLAGS"] = " ".join(flags).strip()
    return RustBin(
        "memshed",
        path="crates/memshed/Cargo.toml",
        args=arguments,
        env=environment,
        debug=False,
    )


setup(version=version(), rust_extensions=[command()], cmdclass={"bdist_wheel": EveryPython})
