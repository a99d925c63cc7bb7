"""How a benchmark is run as a command."""

import sys
from collections.abc import Callable

from impasto.errors import ImpastoError


def run(main: Callable[[], None]) -> None:
    """Run it; an error that is meant for the user's eyes is one line and its exit code."""
    try:
        main()
    except ImpastoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
