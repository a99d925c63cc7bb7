"""Shared by several tests: PAGE, examples."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def examples() -> dict[str, str]:
    """The blocks of Python in CONTRIBUTING.md, by the path in their first line."""
    blocks = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    return dict(blocks)
