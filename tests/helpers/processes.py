"""Starts programs in several processes, as torchrun does: without its agent, which takes seconds."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence


def start(count: int, arguments: Sequence[object]) -> list[subprocess.Popen[str]]:
    """`count` processes of `python ARGUMENTS`, which find each other by torchrun's variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(count):
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        place |= {name: str(rank) for name in ("RANK", "LOCAL_RANK")}
        place |= {name: str(count) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE")}
        processes.append(
            subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                env={**os.environ, **place},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return processes


def ended(processes: Sequence[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Exit code, output and error output of each, once all have ended."""
    found = []
    for process in processes:
        out, err = process.communicate(timeout=300)
        found.append((process.returncode, out, err))
    return found
