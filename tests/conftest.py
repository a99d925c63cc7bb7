"""Shared by all tests: one thread a process, a cache of our own, and a tiny collection."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Tests run side by side, one process a core. Set before torch is first imported.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"

# Started in the background by a shell, a process ignores Ctrl-C, and so would all that the tests
# start; they are to behave as in a terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from impasto import plugins
from impasto.collection import Collection, PackOptions, pack
from impasto.messages import printed
from tests.helpers.command_line import say
from tests.helpers.pictures import paint

__all__ = ["say"]  # a fixture for all tests

# The same examples each time and no limit of time, so that a run does not fail by chance or on a busy
# machine. HYPOTHESIS_PROFILE=default searches for others.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing is read from or written to the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("IMPASTO_CACHE")
    os.environ["IMPASTO_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["IMPASTO_CACHE"]
    else:
        os.environ["IMPASTO_CACHE"] = before


@pytest.fixture
def told() -> Iterator[None]:
    """Messages are printed, as the command line does."""
    with printed():
        yield


@pytest.fixture(scope="session", autouse=True)
def no_plugins() -> Iterator[None]:
    """What is installed beside impasto adds nothing to it in these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "entry_points", lambda room: ())
        plugins.forget_plugins()
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A collection of 27 training pictures of 32 pixels in two classes."""
    folder = tmp_path_factory.mktemp("tiny")
    paint(folder / "pictures", 30)
    options = PackOptions(resolution=32, fit="crop", name="tiny")
    pack(folder / "pictures", folder / "collection", options)
    return Collection.open(folder / "collection")


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """A collection of 27 training pictures of 32 pixels with a style and a genre, of which some are
    unknown; `landscape` is the commonest genre."""
    folder = tmp_path_factory.mktemp("labelled")
    paint(folder / "pictures", 30)
    lines = ["file,style,genre"]
    for index in range(30):
        kind = "warm" if index % 2 else "cold"
        style = ("Cubism", "Rococo", "Ukiyo-e", "")[index % 4]
        genre = ("landscape", "portrait", "landscape", "marina", "")[index % 5]
        lines.append(f"{kind}/{index:03d}.png,{style},{genre}")
    (folder / "pictures" / "metadata.csv").write_text("\n".join(lines) + "\n")
    options = PackOptions(resolution=32, fit="crop", name="labelled", labels=("style", "genre"))
    pack(folder / "pictures", folder / "collection", options)
    return Collection.open(folder / "collection")
