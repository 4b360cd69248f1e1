"""The pages of `skillrun ledger serve` in a real Chromium: a hostile ledger runs nothing, and asks
nobody else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium, needs_chromium
from served import Served, filled, served

pytestmark = [pytest.mark.real, needs_chromium]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path, list[str]]]:
    """(server, scratch folder, ids of the runs)."""
    folder = tmp_path_factory.mktemp("site")
    runs = filled(folder / "ledger.db")
    with served(folder / "ledger.db") as server:
        yield server, folder, runs


def dom(site: tuple[Served, Path, list[str]], path: str, *args: str) -> str:
    server, folder, _ = site
    address = f"http://127.0.0.1:{server.port}{path}"
    return chromium(folder / "chrome", "--virtual-time-budget=5000", *args, "--dump-dom", address)


@pytest.mark.parametrize(
    "place", ("", "ledger/recent-runs", "ledger/run", "ledger/waivers", "ledger/event", "run")
)
def test_a_hostile_ledger_runs_nothing(site: tuple[Served, Path, list[str]], place: str) -> None:
    """Whatever ran would have changed the title; what was loaded is in the log of the network."""
    server, folder, runs = site
    log = folder / "net.json"
    page = dom(site, f"/run/{runs[2]}" if place == "run" else f"/{place}", f"--log-net-log={log}")
    title = re.search("<title>(.*?)</title>", page, re.DOTALL)
    assert title
    assert title[1] != "hacked"
    assert "<img src" not in page
    asked = set(
        re.findall(
            r'"url":"(https?://[^"/]+)',
            json.dumps(json.loads(log.read_text()), separators=(",", ":")),
        )
    )
    assert f"http://127.0.0.1:{server.port}" in asked
    assert not {address for address in asked if "example" in address}


def test_datasettes_own_scripts_work_under_the_policy(site: tuple[Served, Path, list[str]]) -> None:
    """The cog of each column comes from a script."""
    page = dom(site, "/ledger/event")
    assert "dropdown-menu-icon" in page
    assert 'class="CodeMirror' in dom(site, "/ledger?sql=select+1")


def test_scripts_do_run_in_this_browser(tmp_path: Path) -> None:
    """Else the tests above would show nothing."""
    from served import SCRIPT

    (tmp_path / "page.html").write_text(f"<title>calm</title>{SCRIPT}")
    assert "<title>hacked</title>" in chromium(
        tmp_path / "chrome", "--dump-dom", f"file://{tmp_path}/page.html"
    )
