"""`impasto studio` in a process of its own, and a client with its token."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType

import httpx

from impasto.studio.jobs import Jobs


class StudioServer:
    """The command itself, with a free port. It is ready when its first line is printed.

    Args:
        folder: of the studio.
        python: that runs it; None: that of this process.
        environment: variables in addition to those of this process.
    """

    def __init__(self, folder: Path, *, python: str | None = None, **environment: str) -> None:
        self.folder = folder
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that is full would stop it
        command = [python or sys.executable, "-m", "impasto", "studio", str(folder)]
        self.process = subprocess.Popen(
            [*command, "--no-browser", "--port=0"],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", line)
        assert found, line
        self.address = found[0]
        """With the token."""
        self.port, self.token = int(found[1]), found[2]
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            headers={"authorization": f"Bearer {self.token}"},
            timeout=120,
        )

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """End it by Ctrl-C; gives its exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def errors(self) -> str:
        """What it wrote to its error stream."""
        self._errors.seek(0)
        return self._errors.read().decode()

    def end_jobs(self) -> None:
        """End the processes of all jobs of its folder."""
        jobs = Jobs(self.folder / "jobs")
        for job in jobs.all():
            jobs.stop(job.id, at_once=True)

    def __enter__(self) -> "StudioServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()
