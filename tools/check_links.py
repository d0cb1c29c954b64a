"""Check that every relative link in the Markdown pages points at something that is there.

Run by `make docs-check`; it lives for one run and writes nothing. Links to other hosts are not followed: a check must
not fail because somebody else's machine is down. A link to a heading (`page.md#words`) is checked against the headings
of that page, spelled the way Markdown renderers commonly do: lower case, spaces to hyphens, punctuation dropped.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def pages() -> list[Path]:
    """Every Markdown page of the repository, but none of an environment or of another tool's folder."""
    return sorted(
        page for page in ROOT.rglob("*.md") if not any(part.startswith(".") for part in page.parts[len(ROOT.parts) :])
    )


@cache
def anchors(page: Path) -> frozenset[str]:
    """The names under which the headings of a page can be linked to."""
    headings = HEADING.findall(re.sub(r"^(```|~~~).*?^\1", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL))
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def broken_links(page: Path) -> Iterator[str]:
    """Describe each link of a page that leads nowhere."""
    for link in LINK.findall(CODE.sub("", page.read_text("utf-8"))):
        if ELSEWHERE.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            yield f"{page.relative_to(ROOT)}: {link}: there is no {path}"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            yield f"{page.relative_to(ROOT)}: {link}: no heading of that page reads {anchor!r}"


def main() -> int:
    """Print every broken link; 1 when there is one."""
    checked = pages()
    broken = [fault for page in checked for fault in broken_links(page)]
    print("\n".join(broken) or f"links of {len(checked)} pages: all there")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
