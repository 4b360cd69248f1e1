"""A lock on a file that all workplaces of a proof share holds up deliveries of other schedules."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillrun.proof.session import Session, be_silent
from tests.proof.plain_job import JOBS, plain_repo, target_of

WORK = '            send(order_id, key=f"order-{order_id}")\n'
LOCKED = """\
            if not is_free({where}):
                raise Away
"""
LOCK = """

    def is_free(path):
        import fcntl
        held = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
"""


@pytest.mark.real
@pytest.mark.parametrize(
    ("where", "shares"),
    [
        ("os.path.dirname(os.path.abspath(__file__))", True),
        ("__file__", True),
        ("DB", False),
    ],
)
def test_what_locks_a_shared_file_is_proved_by_one_worker(
    tmp_path: Path, where: str, shares: bool
) -> None:
    jobs = JOBS.replace(WORK, LOCKED.format(where=where) + WORK) + LOCK
    root = plain_repo(tmp_path / "shop", jobs=jobs)
    with Session(target_of(root), be_silent, 2) as session:
        session.learn_single_run(session.begin_proof(None))
        assert session.locks_what_is_shared() is shares
