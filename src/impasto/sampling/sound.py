"""Sound files, read by PyAV (the extra `video`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError


def decoded(path: Path) -> Iterator[Any]:
    """The frames of a file's first sound track, as PyAV gives them.

    Raises:
        ImpastoError: PyAV is missing, or the file has no sound or cannot be read.
    """
    try:
        import av
    except ImportError as error:
        raise ImpastoError(
            "sound is read by PyAV; install it with pip install 'impasto[video]'"
        ) from error
    if not path.is_file():
        raise ImpastoError(f"there is no sound file {path}")
    try:
        with av.open(str(path)) as source:
            if not source.streams.audio:
                raise ImpastoError(f"{path} has no sound; give an audio file, such as a WAV or MP3")
            yield from source.decode(source.streams.audio[0])
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImpastoError(f"{path} cannot be read as sound ({reason})") from error
