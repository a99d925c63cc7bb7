"""Markdown as a page shows it."""

import html
import re

from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark").enable("table")


def shown(markdown: str) -> tuple[str, set[str]]:
    """The text that a page of this Markdown shows, and the names of its elements."""
    page = _MARKDOWN.render(markdown)
    return html.unescape(re.sub(r"<[^>]*>", "", page)), set(re.findall(r"</?(\w+)", page))
