"""The page of a run in a real Chromium: it fits narrow screens, asks for nothing, runs nothing, and
prints.
"""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import exported
import pytest
from browser import chromium, needs_chromium
from test_ledger_page import history, proof

from skillrun.ledger.store import Ledger
from skillrun.reports.page.build import run_page

pytestmark = [pytest.mark.real, needs_chromium]
MEASURE = """<!doctype html><body style="margin:0">
<iframe src="page.html" style="width:{width}px;height:900px;border:0"></iframe><script>onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  document.title = [page.documentElement.scrollWidth, page.querySelectorAll("svg.lanes").length,
                    page.querySelectorAll("script").length, getComputedStyle(page.body).backgroundColor].join("|");
}}</script>"""


class _Site(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """(address, folder, paths that were asked for), with the page of a run full of hostile text in
    it.
    """
    folder = tmp_path / "site"
    folder.mkdir()
    (run_id,) = exported.filled(tmp_path / "ledger.db")
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        long = history(refuted=True, message=exported.HOSTILE, schedule="x" * 300)
        stage = exported.stage("idempotency", "failed", proof=proof(histories=[long, history()]))
        ledger.append(run_id, [stage])
    (folder / "page.html").write_text(run_page(tmp_path / "ledger.db", run_id))
    handler = type("Site", (_Site,), {"asked": []})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=folder)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder, handler.asked
    server.shutdown()
    server.server_close()


def measured(site: tuple[str, Path, list[str]], width: int, *args: str) -> list[str]:
    """Width of the content, number of drawings, number of scripts, colour behind the text."""
    address, folder, _ = site
    (folder / "measure.html").write_text(MEASURE.format(width=width))
    dom = chromium(
        folder.parent / "chrome",
        "--virtual-time-budget=5000",
        *args,
        "--dump-dom",
        f"{address}/measure.html",
    )
    title = re.search("<title>(.*?)</title>", dom)
    assert title, dom[:500]
    return title[1].split("|")


@pytest.mark.parametrize("width", (390, 1280))
def test_the_page_fits_and_draws(site: tuple[str, Path, list[str]], width: int) -> None:
    content, drawings, scripts, _ = measured(site, width)
    assert int(content) <= width
    assert (drawings, scripts) == ("2", "0")


def test_it_asks_for_nothing_and_runs_nothing(site: tuple[str, Path, list[str]]) -> None:
    address, folder, asked = site
    dom = chromium(folder.parent / "chrome", "--dump-dom", f"{address}/page.html")
    assert "&lt;script&gt;alert(1)" in dom
    assert set(asked) <= {"/page.html", "/favicon.ico"}


def test_it_is_dark_where_the_reader_is(site: tuple[str, Path, list[str]]) -> None:
    light, dark = (
        measured(site, 1280, f"--blink-settings=preferredColorScheme={n}")[3] for n in (1, 0)
    )
    assert light == "rgb(255, 255, 255)"
    assert dark == "rgb(20, 23, 26)"


def test_it_prints(site: tuple[str, Path, list[str]]) -> None:
    address, folder, _ = site
    pdf = folder.parent / "page.pdf"
    chromium(
        folder.parent / "chrome",
        "--no-pdf-header-footer",
        f"--print-to-pdf={pdf}",
        f"{address}/page.html",
    )
    assert pdf.read_bytes().startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes())) in range(2, 8)
