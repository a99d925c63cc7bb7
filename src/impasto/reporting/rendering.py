"""Pages from the templates in `templates/`: Python prepares the data, the templates make the HTML.

Values in templates are escaped, except `Markup` from a template or `charts.py`.
"""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from impasto import __version__
from impasto.files import write_text


@cache
def environment() -> Environment:
    """The Jinja2 environment: with escaping, and undefined names as errors."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **data: Any) -> Markup:
    """The template `templates/NAME.html` filled with data."""
    return Markup(environment().get_template(f"{template}.html").render(**data))


def write_page(path: Path, template: str, **data: Any) -> None:
    """Write a page; raises ImpastoError if the file cannot be written."""
    write_text(path, render(template, version=__version__, **data))
