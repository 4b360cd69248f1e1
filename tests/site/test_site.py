"""The site: it is built strictly, asks nobody else for anything, and its made pages are those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import helpers
import picture
import pytest
import reference
import replay

DOCS = helpers.ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# The pages that somebody follows line by line. `test_readme.py` asks of all pages that their commands exist.
REPLAYED = [
    path
    for path in (DOCS / "tutorial.md", *sorted((DOCS / "howto").glob("*.md")))
    if replay.read_page(path).commands
]
# What a browser would fetch by itself: a picture, a script, a style, a font. A link is followed by a person.
FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*?\bsrc=[\"']?(?:https?:)?//[^\"' >]+"
    r"|<link\b(?![^>]*rel=[\"']?canonical)[^>]*?\bhref=[\"']?(?:https?:)?//[^\"' >]+"
    r"|url\([\"']?(?:https?:)?//[^)]+\)|@import\s+[\"'](?:https?:)?//[^\"']+"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make site` builds it; a broken link ends it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=helpers.ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.real
def test_a_reader_is_sent_nowhere_else(site: Path) -> None:
    assert FETCHED.search('<link href="https://fonts.example/css" rel=stylesheet>')
    assert FETCHED.search("@font-face{src:url(https://fonts.example/a.woff)}")
    assert not FETCHED.search('<a href="https://example.com/">')
    found = []
    for path in [*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.svg")]:
        for match in FETCHED.finditer(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(site)}: {match[0]}")
    assert found == []


@pytest.mark.real
def test_every_page_is_in_the_site(site: Path) -> None:
    built = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert {path.relative_to(DOCS).with_suffix("") for path in PAGES} <= built


@pytest.mark.parametrize("name", sorted(reference.write_pages()))
def test_a_made_page_is_what_the_code_says(name: str) -> None:
    """`python tests/site/reference.py` writes them."""
    assert (reference.FOLDER / name).read_text(encoding="utf-8") == reference.write_pages()[name]


@pytest.mark.real
@pytest.mark.parametrize("path", REPLAYED, ids=lambda path: path.stem)
def test_a_page_shows_what_its_commands_print(path: Path, tmp_path: Path) -> None:
    """`python tests/site/replay.py --keep PAGE` writes into a page what is printed now."""
    page = replay.read_page(path)
    assert page.commands
    assert replay.differences(page, replay.replay(page, tmp_path)) == []


def test_the_picture_shows_what_the_tutorial_printed() -> None:
    """`python tests/site/picture.py` draws it; the tutorial itself is run by the test above."""
    drawn = picture.PICTURE.read_text(encoding="utf-8")
    assert picture.read_words(drawn) == picture.read_words(picture.draw())
    words = " ".join(picture.read_words(drawn))
    assert "charge took place under another key" in words
    assert not FETCHED.search(drawn)
