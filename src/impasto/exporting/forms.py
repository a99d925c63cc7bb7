"""The forms in which a model is exported, and what may be asked for with each."""

from collections.abc import Mapping
from pathlib import Path

from impasto.errors import ImpastoError

FORMS = ("folder", "onnx", "html", "hub", "space")
FOLDERS = ("folder", "hub", "space")
_ENDINGS = {".onnx": "onnx", ".html": "html"}
_COMPUTED = ("onnx", "html")
_OPTIONS = {
    "discriminator": ("folder", "hub"),
    "half": _COMPUTED,
    "levels": ("onnx",),
    "licence": ("hub", "space"),
    "directions": ("html",),
    **dict.fromkeys(("steps", "sampler", "guidance", "guide", "aspect"), _COMPUTED),
}
"""The forms with which each option has a meaning."""


def form_of(form: str | None, destination: Path, option: str) -> str:
    """The form that is asked for; by default that of the destination's ending, or else a folder.

    Args:
        form: by its name, or None.
        destination: to be written.
        option: the name of `form` for the caller's user, for the message.

    Raises:
        ImpastoError: there is no such form.
    """
    form = form or _ENDINGS.get(destination.suffix.lower(), "folder")
    if form not in FORMS:
        raise ImpastoError(f"{option} takes {' or '.join(FORMS)}, not '{form}'")
    return form


def check_options(form: str, asked: Mapping[str, object], *, command: bool = False) -> None:
    """Check that what is asked for goes with the form.

    Args:
        form: one of `FORMS`.
        asked: options with their values; None or False if they were not given.
        command: whether the user knows them as options of the command line.

    Raises:
        ImpastoError: an option is for other forms.
    """
    for name, value in asked.items():
        forms = _OPTIONS[name]
        if value is None or value is False or form in forms:
            continue
        dashes, kind = ("--", "--as") if command else ("", "form")
        raise ImpastoError(
            f"{dashes}{name} is for {kind} {' and '.join(forms)}, not for {kind} {form}: leave it out"
        )
