"""Fetching: files of a hub repository, files by URL, and pictures by a table of URLs.

Whether a site lets programs fetch from it, and what may be done with its pictures, is between the
user, the site and those who hold the rights. This room is polite (rates, retries, robots.txt) and
keeps for each picture where it came from and under which licence; it grants nothing.
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
