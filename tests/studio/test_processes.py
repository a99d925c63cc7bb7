"""Which process is which: both ways of telling, on processes of this test."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from impasto.studio import processes

WAYS = [
    pytest.param(
        processes._by_proc,
        marks=pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux has /proc"),
    ),
    pytest.param(
        processes._by_ps,
        marks=pytest.mark.skipif(shutil.which("ps") is None, reason="no ps on this machine"),
    ),
]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("began_at", WAYS)
def test_when_a_process_began(began_at: object, child: subprocess.Popen[bytes]) -> None:
    """It stays the same as long as the process lives; one that has ended has none, waited for or not."""
    assert callable(began_at)
    first = began_at(child.pid)
    assert first
    time.sleep(1.1)
    assert began_at(child.pid) == first
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as later:
        assert began_at(later.pid) not in (None, first)
        later.kill()
    child.kill()
    deadline = time.monotonic() + 20
    while began_at(child.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert began_at(child.pid) is None  # a zombie, which nobody has waited for
    child.wait()
    assert began_at(child.pid) is None


def test_a_number_that_another_process_has(child: subprocess.Popen[bytes]) -> None:
    """A process that got the number of an earlier one is not it, and gets no signal."""
    began = processes.began_at(child.pid)
    assert began is not None
    assert processes.Process(child.pid, began).is_alive()
    earlier = processes.Process(child.pid, "the same number, another time")
    assert not earlier.is_alive()
    earlier.kill()
    assert child.poll() is None
