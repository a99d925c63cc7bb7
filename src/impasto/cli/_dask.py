"""The executor of a dask cluster, for commands that can use one."""

import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.formatting import error_text

_SECONDS = 20
"""How long the scheduler may take to answer."""


@contextlib.contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """An executor whose tasks run on a dask cluster.

    Args:
        address: the scheduler's, such as tcp://host:8786; or the path of its scheduler file.

    Raises:
        ImpastoError: dask is not installed, or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ImpastoError("--dask needs dask: pip install 'impasto[cluster]'") from None
    # What it logs of lost workers is told by the results.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    where = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        client = Client(**where, timeout=_SECONDS, set_as_default=False)
    # At the end of the time distributed may raise an assertion of its own.
    except (OSError, TimeoutError, ValueError, TypeError, AssertionError) as error:
        raise ImpastoError(
            f"no dask scheduler answers at {address} ({error_text(error)}); give the address that dask "
            "scheduler prints when it starts, such as tcp://host:8786"
        ) from None
    with client:
        yield client.get_executor()
