"""The package's version: the workspace's in Cargo.toml, to which a test holds it."""

__version__ = "0.1.0"
