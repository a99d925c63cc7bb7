"""What several commands share: how their options are read, and what they say at the end."""

from collections.abc import Sequence
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.formatting import quoted


def weights_of(texts: Sequence[str] | None, features: str) -> dict[str, str]:
    """Texts such as `inception=FILE` of `--weights`, as network to file.

    Raises:
        ImpastoError: one without a network's name.
    """
    given = {}
    for text in texts or ():
        name, equals, source = text.partition("=")
        if not equals:
            raise ImpastoError(
                f"--weights takes NETWORK=FILE for a network of --features ({features}), not '{text}'"
            )
        given[name] = source
    return given


def tell_finished(run: Path) -> None:
    """Where a run is, and what to do with it."""
    from impasto.messages import say

    say(f"finished: {quoted(run)}")
    say(f"look at it: impasto report {quoted(run)}")
    say(f"score it:   impasto evaluate {quoted(run)}")
