"""What mkdocs calls: it adds the pages that are made from the code, and checks the built site."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.docs import commands, library, recipes, settings
from tools.docs.check import faults
from tools.docs.text import lists_apart

_PAGES = {
    "commands.md": commands.page,
    "library.md": library.page,
    "recipes.md": recipes.page,
    "settings.md": settings.page,
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, page in _PAGES.items():
        files.append(File.generated(config, name, content=page()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    del page, config, files
    return lists_apart(markdown)


def on_post_build(config: MkDocsConfig) -> None:
    found = faults(Path(config.site_dir))
    if found:
        raise PluginError("\n".join(["the built site has faults:", *found]))
