"""The documentation site: pages made from the code, and a check of the built site.

`make docs` builds the site with mkdocs (`mkdocs.yml`), which calls `hooks.py`. Each of the other files
makes one page: a function without arguments that returns Markdown. None of them imports torch, so
the site's environment stays small.
"""
