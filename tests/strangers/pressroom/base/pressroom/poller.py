"""The job publish-due: every article that is due goes into the CMS, then onto the hook."""
import fcntl
import json
import logging
import sqlite3
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone

import requests

from pressroom import cms, hook, store
from pressroom.settings import settings

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
FIRST_WAIT = timedelta(minutes=1)
PASSING = (
    cms.CmsUnavailable,
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    sqlite3.OperationalError,
)


class BadArticle(Exception):
    """Nothing that a reader should see."""


class ArticleLog(logging.LoggerAdapter):
    def process(self, msg, kwargs):
        return f"publish-due: article {self.extra['id']} ({self.extra['slug']}): {msg}", kwargs


def publish_due() -> None:
    with _only_poller() as alone:
        if not alone:
            logger.info("publish-due: another poller is at work")
            return
        with closing(store.connect()) as db:
            for article in store.due(db, _now()):
                _work_off(db, article)


@contextmanager
def _only_poller():
    """The kernel lets go of the lock when the process ends, however it ends."""
    with open(settings().database.with_suffix(".lock"), "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _work_off(db: sqlite3.Connection, article: sqlite3.Row) -> None:
    log = ArticleLog(logger, {"id": article["id"], "slug": article["slug"]})
    if article["attempts"] >= MAX_ATTEMPTS:
        reason = article["last_error"] or "the poller died of it"
        store.spike(db, article["id"], _stage(article), reason, _now())
        log.error("spiked, %s attempts used up: %s", article["attempts"], reason)
        return
    attempt = article["attempts"] + 1
    store.begin(db, article["id"])
    log.info("attempt %s of %s started", attempt, MAX_ATTEMPTS)
    try:
        _publish_and_announce(db, article, log)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        if not _may_pass(error):
            store.spike(db, article["id"], _stage_now(db, article), reason, _now())
            log.error("spiked, no use in trying again: %s", reason)
        elif attempt >= MAX_ATTEMPTS:
            store.spike(db, article["id"], _stage_now(db, article), reason, _now())
            log.error("spiked after %s attempts: %s", attempt, reason)
        else:
            until = _now() + FIRST_WAIT * 2 ** (attempt - 1)
            store.put_off(db, article["id"], until, reason)
            log.warning("attempt %s failed, retry at %s: %s", attempt, store.stamp(until), reason)
    else:
        log.info("done in attempt %s", attempt)


def _publish_and_announce(db: sqlite3.Connection, article: sqlite3.Row, log) -> None:
    url = article["cms_url"]
    if url is None:
        tags = _tags(article)
        if not article["headline"].strip() or not article["body"].strip():
            raise BadArticle("no headline or no text")
        answer = cms.put_article(
            external_id=f"pressroom-{article['id']}",
            slug=article["slug"],
            headline=article["headline"],
            body=article["body"],
            tags=tags,
        )
        url = answer["url"]
        store.published(db, article["id"], url)
        log.info("published as %s", url)
    try:
        hook.announce(
            message_id=f"article-{article['id']}", text=article["headline"], link=url
        )
    except requests.HTTPError as error:
        if error.response is None or error.response.status_code != 409:
            raise
        log.info("had been announced before")
    store.announced(db, article["id"], _now())


def _tags(article: sqlite3.Row) -> list[str]:
    try:
        tags = json.loads(article["tags"])
    except ValueError as error:
        raise BadArticle(f"tags are no JSON: {error}") from error
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise BadArticle("tags are no list of words")
    return tags


def _may_pass(error: Exception) -> bool:
    if isinstance(error, requests.HTTPError):
        status = error.response.status_code if error.response is not None else 500
        return status == 429 or status >= 500
    return isinstance(error, PASSING)


def _stage(article: sqlite3.Row) -> str:
    return "cms" if article["cms_url"] is None else "hook"


def _stage_now(db: sqlite3.Connection, article: sqlite3.Row) -> str:
    return _stage(db.execute("select * from articles where id = ?", (article["id"],)).fetchone())


def _now() -> datetime:
    return datetime.now(timezone.utc)
