import re
import sqlite3

import httpx
from huey import SqliteHuey
from huey.exceptions import RetryTask
from huey.signals import SIGNAL_ERROR
from loguru import logger

from . import config, confirmations, log, post, push
from .locks import only_one

log.setup()

huey = SqliteHuey("adbox", filename=str(config.HOME / "queue.db"), results=False, fsync=True)


class Malformed(Exception):
    pass


def is_ref(ref):
    return isinstance(ref, str) and re.fullmatch(r"KA-[0-9]{4,9}", ref) is not None


@huey.task()
def confirm_ad(ref):
    if not is_ref(ref):
        raise Malformed(f"ref is {ref!r}")
    with only_one(ref) as mine, logger.contextualize(ref=ref):
        if not mine:
            logger.info("another worker is at it")
            return
        try:
            confirm(ref)
        except Exception as exc:
            delay = confirmations.failed(ref, exc)
            if delay is None:
                raise
            logger.warning("attempt failed, again in {} s: {!r}", delay, exc)
            raise RetryTask(delay=delay) from exc


def confirm(ref):
    ad = confirmations.begin(ref)
    if ad is None:
        logger.info("is settled already")
        return
    logger.info("attempt {} of {}", ad["tries"] + 1, confirmations.MAX_TRIES)
    if not ad["mailed"]:
        post.send(
            to=ad["email"],
            subject=f"Ihre Anzeige {ref}",
            text=f"Guten Tag {ad['customer']},\n\nIhre Anzeige „{ad['heading']}“ erscheint am "
                 f"Samstag und kostet {ad['cents'] / 100:.2f} Euro.\n",
            message_id=f"<{ref}@anzeigen.talbote.example>",
        )
        confirmations.mailed(ref)
        logger.info("customer has mail")
    try:
        push.notify(title=f"Neue Anzeige {ref}", body=ad["heading"], dedupe_id=f"ad-{ref}")
    except httpx.HTTPStatusError as exc:
        if exc.response.status_code != 409:
            raise
    if confirmations.done(ref):
        logger.info("confirmed")
    else:
        logger.warning("is out, but was given up meanwhile")


@huey.signal(SIGNAL_ERROR)
def given_up(_signal, task, exc):
    """Whatever leaves a confirmation for good, be it only a message with wrong fields."""
    if task.name != "confirm_ad":
        return
    fit = not task.args and list(task.kwargs) == ["ref"] and is_ref(task.kwargs["ref"])
    ref = task.kwargs["ref"] if fit else None
    bound = logger.bind(ref=ref or "-")
    if isinstance(exc, sqlite3.OperationalError):
        bound.error("the database is away, left to the rescue: {!r}", exc)
        return
    confirmations.bury(ref, task.id, {"args": task.args, "kwargs": task.kwargs}, exc)
    if ref is None:
        bound.error("unreadable message {} {} buried: {!r}", task.args, task.kwargs, exc)
    else:
        bound.error("given up: {!r}", exc)
