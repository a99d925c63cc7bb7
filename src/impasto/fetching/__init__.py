"""Fetching: files of a hub repository, files by URL, and pictures by a table of URLs.

Users must check a site's terms and the rights in its pictures themselves. This room limits rates,
follows robots.txt, and records each picture's address and licence.
"""

from impasto.fetching.dispatch import fetch_sources
from impasto.fetching.file import fetch_file
from impasto.fetching.hub import fetch_repository, is_repository
from impasto.fetching.politeness import Politeness
from impasto.fetching.table import PictureOptions, fetch_table
from impasto.fetching.wanted import read_table
from impasto.fetching.wikiart import list_wikiart

__all__ = [
    "PictureOptions",
    "Politeness",
    "fetch_file",
    "fetch_repository",
    "fetch_sources",
    "fetch_table",
    "is_repository",
    "list_wikiart",
    "read_table",
]
