"""These tests start many processes, one thread each, and take minutes: `make test-processes`."""

from tests.conftest import labelled, no_plugins, own_cache

__all__ = ["labelled", "no_plugins", "own_cache"]
