"""A module, and what is to be in it."""

from __future__ import annotations

import ast
import io
import sysconfig
from pathlib import Path

from skillrun.skills.job_worker.scaffold.editing.merge import Merged, merge_module

STDLIB = Path(sysconfig.get_paths()["stdlib"])
REAL = sorted((*STDLIB.glob("*.py"), *STDLIB.glob("asyncio/*.py"), *STDLIB.glob("email/*.py")))
FUNCTION = '''\
def send_receipt(order_id: int) -> None:
    """Send the receipt of an order."""
    print(order_id)
'''


def read(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return file.read()


def merge(path: str, existing: str | None, wanted: str) -> Merged:
    """Merged, and merged again: the second time changes nothing."""
    merged = merge_module(path, existing, wanted)
    ast.parse(merged.text.removeprefix("\ufeff"))
    again = merge_module(path, merged.text, wanted)
    assert again.text == merged.text
    assert again.added == ()
    return merged


def old_lines_stay(old: str, new: str) -> bool:
    """Whether every line of `old` is in `new`, in its order; a missing end of the last line may
    have been added.
    """
    lines = iter(io.StringIO(new, newline=""))
    return all(
        any(line == other or line == other.rstrip("\r\n") for other in lines)
        for line in io.StringIO(old, newline="")
    )


# -- what is added, and where

JOB = '''\
import logging

from celery import shared_task

from shop import mailer

logger = logging.getLogger(__name__)


@shared_task
def send_receipt(order_id):
    """Send.

    Once.
    """
    logger.info("send_receipt %s", order_id)
    mailer.send(
        order_id,
    )
'''
