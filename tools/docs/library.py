"""The page of the library: mkdocstrings writes it from the public names of the package."""

import impasto
from tools.docs.text import escaped, paragraphs

HEAD = "# Library\n"


def page() -> str:
    told = [each for each in (impasto.__doc__ or "").split("\n\n") if each.strip()]
    shown = [
        each + "\n" if each.startswith("    ") else escaped(paragraphs(each)[0]) + "\n"
        for each in told
    ]
    return "\n".join([HEAD, *shown, *(f"::: impasto.{name}\n" for name in impasto.__all__)])
