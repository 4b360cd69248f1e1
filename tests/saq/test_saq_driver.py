"""SAQ's driver beyond what every driver promises: whose settings it goes by."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers import build_tree

pytest.importorskip("saq")

from skillrun.contract.spec import load_spec
from skillrun.proof.services.find import find_redis_server
from skillrun.proof.workplace import Workplace

CORPUS = Path(__file__).parents[1] / "proof" / "corpus" / "saq_ticket"
# The last of its folder: who looks through the modules finds museum/worker.py before it.
ZONE = """
from museum.queues import queue
from museum.tasks import send_ticket


async def tidy(ctx):
    pass


started = {"queue": queue, "functions": [send_ticket], "timers": {"sweep": 7}}
other = {"queue": queue, "functions": [tidy], "timers": {"sweep": 7}}
"""

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(find_redis_server() is None, reason="no redis-server here"),
]


def read_redelivery(root: Path, procfile: str) -> float | None:
    """After how many seconds another worker is said to take over the job of a dead one."""
    shutil.copytree(CORPUS, root, ignore=shutil.ignore_patterns("corpus.py", "__pycache__"))
    build_tree(root, {"museum/zone.py": ZONE, "Procfile": procfile})
    spec = load_spec(root / ".skillrun" / "jobs" / "ticket.yaml", root=root)
    with Workplace(spec, root, "saq", ()) as workplace:
        workplace.start_servers()
        workplace.set_up()
        return workplace.zygote().facts.redelivery_s


def test_the_settings_that_the_repository_starts_a_worker_with_are_taken(tmp_path: Path) -> None:
    found = read_redelivery(tmp_path / "museum", "worker: saq museum.zone.started -v\n")
    assert found == 10 + 7 + 5


@pytest.mark.parametrize("named", ["museum.zone.other", "elsewhere.settings"])
def test_a_command_that_says_nothing_of_the_job_leaves_the_others(
    tmp_path: Path, named: str
) -> None:
    assert read_redelivery(tmp_path / "museum", f"worker: saq {named} -v\n") == 10 + 60 + 5
