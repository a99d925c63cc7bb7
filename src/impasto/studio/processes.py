"""Processes that outlive the server: started in a session of their own, and told apart from later ones
that got the same number."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_RECORDED = """
trap : INT TERM
read -r go
record=$1; shift
grep -q "\\"pid\\": $$," "$record" || exit
"$@" < /dev/null
echo $? > "$0.tmp"; mv "$0.tmp" "$0"
"""
"""Waits until its input has a line or ends. Then, if the record of the job has its number, it runs the
command and writes the exit code into the file $0. A signal to all ends only the command."""


@dataclass(frozen=True)
class Process:
    """A process, by its number and when it began."""

    pid: int
    began: str
    """In a form that two processes never share; see `began_at`."""

    def is_alive(self) -> bool:
        """Whether it is still there, and not only waited for."""
        return began_at(self.pid) == self.began

    def interrupt(self) -> None:
        """Send its whole session what Ctrl-C in a terminal sends."""
        self._send(signal.SIGINT)

    def kill(self) -> None:
        """End its whole session at once."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.is_alive():
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                return


def began_at(pid: int) -> str | None:
    """When a process began, in a form that no later process of this number has. None if there is no
    such process, or it has ended."""
    return _by_proc(pid) if Path("/proc/self/stat").exists() else _by_ps(pid)


def _by_proc(pid: int) -> str | None:
    """On Linux: the clock tick since the machine started, and which start that was."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    state, ticks = fields[0], fields[19]
    return None if state in "ZX" else f"{boot} {ticks}"


def _by_ps(pid: int) -> str | None:
    """Elsewhere, as on macOS: the second, in UTC, as `ps` says it."""
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    words = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        found = subprocess.run(command, capture_output=True, text=True, env=words, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    state, _, when = found.stdout.strip().partition(" ")
    return None if not when or state[0] in "ZX" else when.strip()


@contextmanager
def started(
    command: list[str], log: Path, exit_file: Path, record: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that runs a command once this context ends.

    In the context its number (`"pid": N,`) is to be written into the record. Whatever happens to this
    process meanwhile, the command runs exactly if the record has the number.

    Args:
        command: the program and its arguments. It runs in the folder of the record.
        log: file that its output is added to.
        exit_file: gets its exit code when it ends.
        record: a JSON file.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _RECORDED, str(exit_file), str(record), *command],
            cwd=record.parent,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    assert child.stdin is not None
    with child.stdin:
        yield child
