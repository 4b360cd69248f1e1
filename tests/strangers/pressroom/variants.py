"""Versions of base/: (path, old text, new text); an empty old text writes the whole file."""

SPEC = ".skillrun/jobs/publish-due.yaml"

# ------------- ok-1: a table of steps, no lock but compare-and-set, classes on httpx, structlog
OK1_STORE = '''"""The database: python -m pressroom.store [--demo]"""
import sqlite3
import sys
from datetime import datetime, timezone

from pressroom.settings import settings

SCHEMA = """
create table if not exists articles (
    id           integer primary key,
    slug         text not null unique,
    headline     text not null,
    body         text not null,
    tags         text not null default '[]',       -- JSON
    due_at       text,                             -- UTC; null: not planned yet
    status       text not null default 'planned'
                 check (status in ('planned', 'announced', 'spiked')),
    attempts     integer not null default 0,
    next_try_at  text,
    last_error   text
);
create index if not exists articles_due on articles (due_at) where status = 'planned';

-- What has been done to an article out there; a step is done once.
create table if not exists steps (
    article_id integer not null references articles,
    step       text not null check (step in ('cms', 'hook')),
    result     text not null,
    done_at    text not null,
    primary key (article_id, step)
);

create table if not exists spiked (
    article_id integer primary key references articles,
    stage      text not null,
    reason     text not null,
    attempts   integer not null,
    spiked_at  text not null
);
"""

DEMO = """
insert into articles (slug, headline, body, tags, due_at) values
    ('bruecke-gesperrt', 'Alte Brücke gesperrt', 'Seit heute früh ...', '["verkehr"]',
     '2026-02-01T05:00:00+00:00'),
    ('ratswahl', 'Die Ratswahl in Zahlen', 'Um 18 Uhr ...', '["politik", "wahl"]',
     '2099-02-01T17:00:00+00:00'),
    ('portrait-imkerin', 'Die Imkerin vom Dach', 'Wer ...', '[]', null);
"""


def connect() -> sqlite3.Connection:
    db = sqlite3.connect(settings().database, timeout=30)
    db.row_factory = sqlite3.Row
    db.execute("pragma foreign_keys = on")
    return db


def stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds")


def due(db: sqlite3.Connection, now: datetime) -> list[sqlite3.Row]:
    return db.execute(
        "select * from articles where status = 'planned' and due_at <= :now"
        " and (next_try_at is null or next_try_at <= :now) order by due_at, id",
        {"now": stamp(now)},
    ).fetchall()


def take(db: sqlite3.Connection, article: sqlite3.Row) -> bool:
    """Counts the attempt. False: another poller took the article since we read it."""
    with db:
        return (
            db.execute(
                "update articles set attempts = attempts + 1"
                " where id = ? and attempts = ? and status = 'planned'",
                (article["id"], article["attempts"]),
            ).rowcount
            == 1
        )


def steps(db: sqlite3.Connection, article_id: int) -> dict[str, str]:
    return dict(
        db.execute("select step, result from steps where article_id = ?", (article_id,)).fetchall()
    )


def done(db: sqlite3.Connection, article_id: int, step: str, result: str, now: datetime) -> None:
    with db:
        db.execute(
            "insert into steps (article_id, step, result, done_at) values (?, ?, ?, ?)"
            " on conflict do nothing",
            (article_id, step, result, stamp(now)),
        )
        if step == "hook":
            # also where a slower poller has given up on it meanwhile
            db.execute(
                "update articles set status = 'announced', next_try_at = null, last_error = null"
                " where id = ?",
                (article_id,),
            )
            db.execute("delete from spiked where article_id = ?", (article_id,))


def put_off(db: sqlite3.Connection, article_id: int, until: datetime, reason: str) -> None:
    with db:
        db.execute(
            "update articles set next_try_at = ?, last_error = ?"
            " where id = ? and status = 'planned'",
            (stamp(until), reason, article_id),
        )


def spike(
    db: sqlite3.Connection, article_id: int, stage: str, reason: str, now: datetime
) -> None:
    with db:
        db.execute(
            "insert or replace into spiked (article_id, stage, reason, attempts, spiked_at)"
            " select id, ?, ?, attempts, ? from articles where id = ? and status = 'planned'",
            (stage, reason, stamp(now), article_id),
        )
        db.execute(
            "update articles set status = 'spiked', last_error = ?"
            " where id = ? and status = 'planned'",
            (reason, article_id),
        )


if __name__ == "__main__":
    with connect() as connection:
        connection.executescript(SCHEMA + (DEMO if "--demo" in sys.argv[1:] else ""))
'''

OK1_CMS = '''"""The CMS. An article lies there under the number that we gave it; putting it again changes
nothing."""
import httpx

from pressroom.settings import settings


class CmsUnavailable(Exception):
    """The CMS did not answer, or not sensibly. May pass."""


class CmsRejected(Exception):
    """The CMS does not take this article as it is."""


class Cms:
    def __init__(self, transport: httpx.BaseTransport | None = None):
        self._transport = transport

    def put_article(
        self, external_id: str, slug: str, headline: str, body: str, tags: list[str]
    ) -> dict:
        try:
            with httpx.Client(
                base_url=settings().cms_url,
                headers={"Authorization": f"Token {settings().cms_token}"},
                timeout=httpx.Timeout(30, connect=5),
                transport=self._transport,
            ) as client:
                response = client.put(
                    f"/articles/{external_id}",
                    json={
                        "slug": slug, "headline": headline, "body": body, "tags": tags, "live": True
                    },
                )
            if response.status_code in (400, 409, 413, 415, 422):
                raise CmsRejected(f"HTTP {response.status_code}: {response.text[:300]}")
            if not response.is_success:
                raise CmsUnavailable(f"HTTP {response.status_code}")
            return response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise CmsUnavailable(f"{type(error).__name__}: {error}") from error
'''

OK1_HOOK = '''"""The hook that feeds the app, the ticker and the chat channels.

It keeps the ids of its messages for two days and answers 409 to one that it has.
"""
import httpx

from pressroom.settings import settings


class HookDown(Exception):
    """May pass."""


class HookClosed(Exception):
    """The hook does not exist any more, or does not take our messages."""


class Hook:
    def __init__(self, transport: httpx.BaseTransport | None = None):
        self._transport = transport

    def announce(self, message_id: str, text: str, link: str) -> None:
        try:
            with httpx.Client(timeout=15, transport=self._transport) as client:
                response = client.post(
                    settings().hook_url, json={"id": message_id, "text": text, "link": link}
                )
        except httpx.HTTPError as error:
            raise HookDown(f"{type(error).__name__}: {error}") from error
        if response.status_code == 409:  # it has this one
            return
        if response.status_code == 429 or response.status_code >= 500:
            raise HookDown(f"HTTP {response.status_code}")
        if not response.is_success:
            raise HookClosed(f"HTTP {response.status_code}")
'''

OK1_LOGS = '''import structlog

structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_log_level,
        structlog.processors.KeyValueRenderer(key_order=["event", "job", "article", "attempt"]),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)

get_logger = structlog.stdlib.get_logger
'''

OK1_POLLER = '''"""The job publish-due: every article that is due goes into the CMS, then onto the hook.

Pollers do not lock each other out. Whoever counts the attempt has the article; should one be so
slow that the next attempt begins meanwhile, both send the same ids and the receivers know them.
"""
import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone

from pressroom import store
from pressroom.cms import Cms, CmsUnavailable
from pressroom.hook import Hook, HookDown
from pressroom.logs import get_logger

logger = get_logger("pressroom.poller").bind(job="publish-due")

MAX_ATTEMPTS = 5
WAITS = (60, 120, 240, 480)
PASSING = (CmsUnavailable, HookDown, sqlite3.OperationalError)


class BadArticle(Exception):
    """Nothing that a reader should see."""


def publish_due() -> None:
    with closing(store.connect()) as db:
        for article in store.due(db, _now()):
            Run(db, article).work_off()


class Run:
    """One attempt at one article."""

    def __init__(self, db: sqlite3.Connection, article: sqlite3.Row):
        self.db, self.article, self.id = db, article, article["id"]
        self.attempt = article["attempts"] + 1
        self.stage = "cms"
        self.log = logger.bind(article=self.id, slug=article["slug"], attempt=self.attempt)

    def work_off(self) -> None:
        if self.attempt > MAX_ATTEMPTS:
            self._spike(self.article["last_error"] or "the poller died of it")
            return
        if not store.take(self.db, self.article):
            self.log.info("taken by another poller")
            return
        self.log.info("started")
        try:
            self._steps()
        except PASSING as error:
            if self.attempt == MAX_ATTEMPTS:
                self._spike(repr(error))
            else:
                until = _now() + timedelta(seconds=WAITS[self.attempt - 1])
                store.put_off(self.db, self.id, until, repr(error))
                self.log.warning("failed, will retry", retry_at=store.stamp(until), reason=repr(error))
        except Exception as error:
            self._spike(repr(error))
        else:
            self.log.info("done")

    def _steps(self) -> None:
        steps = store.steps(self.db, self.id)
        if "cms" not in steps:
            steps["cms"] = self._put()["url"]
            store.done(self.db, self.id, "cms", steps["cms"], _now())
        self.stage = "hook"
        if "hook" not in store.steps(self.db, self.id):
            Hook().announce(
                message_id=f"article-{self.id}", text=self.article["headline"], link=steps["cms"]
            )
            store.done(self.db, self.id, "hook", "announced", _now())

    def _put(self) -> dict:
        try:
            tags = json.loads(self.article["tags"])
        except ValueError as error:
            raise BadArticle(f"tags are no JSON: {error}") from error
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise BadArticle("tags are no list of words")
        if not self.article["headline"].strip() or not self.article["body"].strip():
            raise BadArticle("no headline or no text")
        return Cms().put_article(
            external_id=f"pressroom-{self.id}",
            slug=self.article["slug"],
            headline=self.article["headline"],
            body=self.article["body"],
            tags=tags,
        )

    def _spike(self, reason: str) -> None:
        if "cms" in store.steps(self.db, self.id):
            self.stage = "hook"
        store.spike(self.db, self.id, self.stage, reason, _now())
        self.log.error("failed for good, spiked", stage=self.stage, reason=reason)


def _now() -> datetime:
    return datetime.now(timezone.utc)
'''

OK1 = [
    ("pressroom/store.py", "", OK1_STORE),
    ("pressroom/cms.py", "", OK1_CMS),
    ("pressroom/hook.py", "", OK1_HOOK),
    ("pressroom/logs.py", "", OK1_LOGS),
    ("pressroom/poller.py", "", OK1_POLLER),
    ("requirements.txt", "requests>=2.31\n", "httpx>=0.27\nstructlog>=24.1\n"),
    (
        "pressroom/__main__.py",
        'format="%(asctime)s %(levelname)-7s %(name)s %(message)s"',
        'format="%(asctime)s %(name)s %(message)s"',
    ),
    (
        "pressroom/desk.py",
        "where id = ? and status = 'spiked'\",\n",
        "where id = ? and status = 'spiked'\",  # what is done stays in steps\n",
    ),
    (
        SPEC,
        """      An article is in the CMS under pressroom-<id> and on the hook under article-<id>; once its row
      says announced, or spiked, no poll takes it again, and one poller works at a time
    guarded_by: articles.status, and a flock on the file next to the database
""",
        """      An article is in the CMS under pressroom-<id> and on the hook under article-<id>; a step that
      is in the table steps is not done again, nor an article that is announced or spiked
    guarded_by: primary key of steps(article_id, step); compare-and-set on articles.attempts
""",
    ),
    (SPEC, "call: pressroom.cms:put_article", "call: pressroom.cms:Cms.put_article"),
    (SPEC, "call: pressroom.hook:announce", "call: pressroom.hook:Hook.announce"),
    (
        SPEC,
        """    - {type: "requests:HTTPError", args: [503], effects: [hook]}
    - {type: "requests:HTTPError", args: [429], effects: [hook]}
    - {type: "requests:Timeout", effects: [hook]}
    - {type: "requests:ConnectionError", effects: [hook]}
""",
        """    - {type: "pressroom.hook:HookDown", args: [HTTP 503], effects: [hook]}
""",
    ),
    (
        SPEC,
        """    - {type: "requests:HTTPError", args: [404], effects: [hook]}
  success:
    - {type: "requests:HTTPError", args: [409], effects: [hook]}
""",
        """    - {type: "pressroom.hook:HookClosed", args: [HTTP 404], effects: [hook]}
""",
    ),
    (
        SPEC,
        "    articles: select id, status, cms_url, announced_at is not null from articles order by id\n",
        "    articles: select id, status from articles order by id\n"
        "    steps: select article_id, step, result from steps order by 1, 2\n",
    ),
    (SPEC, '  scratch_files: ["*.lock"]\n', ""),
    # the tests
    ("tests/test_poller.py", "import requests\n\n", ""),
    (
        "tests/test_poller.py",
        '''def http_error(status):
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(str(status), response=response)
''',
        '''def http_error(status):
    return hook.HookDown(f"HTTP {status}")
''',
    ),
    ("tests/test_poller.py", "requests.Timeout()", 'hook.HookDown("timeout")'),
    (
        "tests/test_poller.py",
        '''    def test_said_before(self):
        self.say.side_effect = http_error(409)
        self.poll(2)
        self.assertEqual(self.say.call_count, 1)
        self.assertEqual(self.row()[0], "announced")

''',
        "",
    ),
    ("tests/test_poller.py", 'self.patch(cms, "put_article",', 'self.patch(cms.Cms, "put_article",'),
    ("tests/test_poller.py", 'self.patch(hook, "announce",', 'self.patch(hook.Hook, "announce",'),
    (
        "tests/test_poller.py",
        '"select status, cms_url, attempts from articles where id = 1"',
        '"select status, result, attempts from articles a left join steps s"\n'
        '        " on s.article_id = a.id and s.step = \'cms\' where a.id = 1"',
    ),
    (
        "tests/test_poller.py",
        '"publish-due: article 1 (x): attempt 1 of 5 started"',
        '"event=\'started\' job=\'publish-due\' article=1 attempt=1"',
    ),
    (
        "tests/test_poller.py",
        "        self.assertEqual((self.put.call_count, self.say.call_count), (1, 1))\n",
        "        self.assertEqual({c.kwargs[\"external_id\"] for c in self.put.call_args_list}, {\"pressroom-1\"})\n"
        "        self.assertEqual(self.say.call_count, 1)\n"
        "        self.assertEqual(self.row()[0], \"announced\")\n"
        "        self.assertEqual(self.row(\"select * from spiked\"), ())\n",
    ),
]

# ---------------- ok-2: SQLAlchemy Core, loguru, a cron trigger, a lock database, a state machine
OK2_STORE = '''"""The database, in SQLAlchemy Core: python -m pressroom.store [--demo]"""
import sys
from datetime import datetime, timezone
from functools import lru_cache

from sqlalchemy import (
    CheckConstraint, Column, Engine, ForeignKey, Integer, MetaData, String, Table, Text,
    create_engine,
)

from pressroom.settings import settings

metadata = MetaData()

articles = Table(
    "articles", metadata,
    Column("id", Integer, primary_key=True),
    Column("slug", String, nullable=False, unique=True),
    Column("headline", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("tags", String, nullable=False, default="[]"),  # JSON
    Column("due_at", String),  # UTC; null: not planned yet
    Column("status", String, nullable=False, default="planned"),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_try_at", String),
    Column("last_error", String),
    Column("cms_url", String),
    Column("announced_at", String),
    CheckConstraint("status in ('planned', 'published', 'announced', 'spiked')"),
)

spiked = Table(
    "spiked", metadata,
    Column("article_id", ForeignKey("articles.id"), primary_key=True),
    Column("stage", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("spiked_at", String, nullable=False),
)

DEMO = [
    dict(slug="bruecke-gesperrt", headline="Alte Brücke gesperrt", body="Seit heute früh ...",
         tags='["verkehr"]', due_at="2026-02-01T05:00:00+00:00"),
    dict(slug="ratswahl", headline="Die Ratswahl in Zahlen", body="Um 18 Uhr ...",
         tags='["politik", "wahl"]', due_at="2099-02-01T17:00:00+00:00"),
    dict(slug="portrait-imkerin", headline="Die Imkerin vom Dach", body="Wer ...",
         tags="[]", due_at=None),
]


@lru_cache
def engine() -> Engine:
    return create_engine(f"sqlite:///{settings().database}", connect_args={"timeout": 30})


def stamp(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds")


if __name__ == "__main__":
    metadata.create_all(engine())
    if "--demo" in sys.argv[1:]:
        with engine().begin() as tx:
            tx.execute(articles.insert(), DEMO)
'''

OK2_DESK = '''"""What the editors' screens call."""
import json
from datetime import datetime

from sqlalchemy import case

from pressroom.store import articles, engine, spiked, stamp


def file_article(slug: str, headline: str, body: str, tags: list[str], due_at: datetime) -> int:
    with engine().begin() as tx:
        return tx.execute(
            articles.insert().values(
                slug=slug,
                headline=headline,
                body=body,
                tags=json.dumps(tags),
                due_at=stamp(due_at),
            )
        ).inserted_primary_key[0]


def unspike(article_id: int) -> None:
    """Back to where it was, with five fresh attempts."""
    back_to = case((articles.c.cms_url.is_(None), "planned"), else_="published")
    with engine().begin() as tx:
        tx.execute(spiked.delete().where(spiked.c.article_id == article_id))
        tx.execute(
            articles.update()
            .where(articles.c.id == article_id, articles.c.status == "spiked")
            .values(status=back_to, attempts=0, next_try_at=None, last_error=None)
        )
'''

OK2_LOCK = '''"""Keeps a second poller out: an exclusive transaction in a database of its own. SQLite, and the
kernel, let go of it when the process ends, however it ends."""
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path):
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as db:
        try:
            db.execute("begin exclusive")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            yield False
        else:
            yield True
'''

OK2_POLLER = '''"""The job publish-due. An article goes planned -> published -> announced; whatever fails for
good goes onto the spike."""
import json
from datetime import datetime, timedelta, timezone

import requests
from loguru import logger
from sqlalchemy import or_, select
from sqlalchemy.exc import OperationalError

from pressroom import cms, hook
from pressroom.lock import exclusive
from pressroom.settings import settings
from pressroom.store import articles, engine, spiked, stamp

MAX_ATTEMPTS = 5
FIRST_WAIT = timedelta(minutes=1)


class BadArticle(Exception):
    """Nothing that a reader should see."""


def publish_due() -> None:
    with exclusive(settings().database.with_suffix(".lock")) as alone:
        if not alone:
            logger.info("publish-due: another poller is at work")
            return
        now = stamp(_now())
        due = (
            select(articles.c.id)
            .where(
                articles.c.status.in_(TRANSITIONS),
                articles.c.due_at <= now,
                or_(articles.c.next_try_at.is_(None), articles.c.next_try_at <= now),
            )
            .order_by(articles.c.due_at, articles.c.id)
        )
        with engine().connect() as connection:
            ids = connection.scalars(due).all()
        for article_id in ids:
            with logger.contextualize(job="publish-due", article=article_id):
                _attempt(article_id)


def _attempt(article_id: int) -> None:
    article = _load(article_id)
    if article.attempts >= MAX_ATTEMPTS:
        _spike(article, article.last_error or "the poller died of it")
        return
    # committed before anything happens in it: an attempt that kills us has been one, too
    attempt = article.attempts + 1
    _set(article_id, attempts=attempt)
    logger.info("publish-due: article {} attempt {} started", article_id, attempt)
    try:
        while (article := _load(article_id)).status in TRANSITIONS:
            _set(article_id, **TRANSITIONS[article.status](article))
    except Exception as error:
        article = _load(article_id)
        reason = f"{type(error).__name__}: {error}"
        if attempt < MAX_ATTEMPTS and _may_pass(error):
            until = stamp(_now() + FIRST_WAIT * 2 ** (attempt - 1))
            _set(article_id, next_try_at=until, last_error=reason)
            logger.warning(
                "publish-due: article {} attempt {} failed, retry at {}: {}",
                article_id, attempt, until, reason,
            )
        else:
            _spike(article, reason)
    else:
        logger.info("publish-due: article {} done in attempt {}", article_id, attempt)


def _publish(article) -> dict:
    try:
        tags = json.loads(article.tags)
    except ValueError as error:
        raise BadArticle(f"tags are no JSON: {error}") from error
    if not isinstance(tags, list) or not article.headline.strip() or not article.body.strip():
        raise BadArticle("no headline, no text, or strange tags")
    answer = cms.put_article(
        external_id=f"pressroom-{article.id}",
        slug=article.slug,
        headline=article.headline,
        body=article.body,
        tags=tags,
    )
    return {"status": "published", "cms_url": answer["url"]}


def _announce(article) -> dict:
    try:
        hook.announce(
            message_id=f"article-{article.id}", text=article.headline, link=article.cms_url
        )
    except requests.HTTPError as error:
        if error.response is None or error.response.status_code != 409:
            raise
    return {
        "status": "announced",
        "announced_at": stamp(_now()),
        "next_try_at": None,
        "last_error": None,
    }


TRANSITIONS = {"planned": _publish, "published": _announce}


def _may_pass(error: Exception) -> bool:
    match error:
        case requests.HTTPError(response=requests.Response(status_code=status)):
            return status == 429 or status >= 500
        case cms.CmsUnavailable() | OperationalError():
            return True
        case requests.RequestException():
            return not isinstance(error, ValueError)  # those are about the URL
    return False


def _load(article_id: int):
    with engine().connect() as connection:
        return connection.execute(select(articles).where(articles.c.id == article_id)).one()


def _set(article_id: int, **values) -> None:
    with engine().begin() as tx:
        tx.execute(articles.update().where(articles.c.id == article_id).values(**values))


def _spike(article, reason: str) -> None:
    stage = "cms" if article.status == "planned" else "hook"
    with engine().begin() as tx:
        tx.execute(
            spiked.insert().values(
                article_id=article.id,
                stage=stage,
                reason=reason,
                attempts=article.attempts,
                spiked_at=stamp(_now()),
            )
        )
        tx.execute(
            articles.update()
            .where(articles.c.id == article.id)
            .values(status="spiked", last_error=reason)
        )
    logger.error(
        "publish-due: article {} spiked after {} attempts: {}", article.id, article.attempts, reason
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)
'''

OK2_MAIN = '''import sys
from datetime import timezone

from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger
from loguru import logger

from pressroom.poller import publish_due
from pressroom.settings import settings


def main() -> None:
    logger.remove()
    logger.add(sys.stderr, level=settings().log_level, format="{time} {level} {message} {extra}")
    scheduler = BlockingScheduler(timezone=timezone.utc)
    scheduler.add_job(
        logger.catch(publish_due),
        CronTrigger.from_crontab("* * * * *", timezone=timezone.utc),
        id="publish-due",
        coalesce=True,
        misfire_grace_time=None,
    )
    try:
        scheduler.start()
    except (KeyboardInterrupt, SystemExit):
        logger.info("stopped")


if __name__ == "__main__":
    main()
'''

OK2 = [
    ("pressroom/store.py", "", OK2_STORE),
    ("pressroom/desk.py", "", OK2_DESK),
    ("pressroom/lock.py", "", OK2_LOCK),
    ("pressroom/poller.py", "", OK2_POLLER),
    ("pressroom/__main__.py", "", OK2_MAIN),
    ("pressroom/settings.py", "    poll_seconds: int = 30\n", ""),
    ("requirements.txt", "requests>=2.31\n", "requests>=2.31\nloguru>=0.7\nSQLAlchemy>=2.0\n"),
    ("README.md", "polls the table `articles` every half minute (APScheduler).", "looks through the table `articles` every minute (APScheduler)."),
    (SPEC, "trigger: {type: poller, every: 30s}", 'trigger: {type: cron, schedule: "* * * * *", timezone: UTC}'),
    (
        SPEC,
        "guarded_by: articles.status, and a flock on the file next to the database",
        "guarded_by: articles.status, and an exclusive transaction in the lock database next to it",
    ),
    (SPEC, 'scratch_files: ["*.lock"]', 'scratch_files: ["*.lock", "*.lock-journal"]'),
    # the tests
    ("tests/test_poller.py", "import os\n", "import logging\nimport os\n"),
    ("tests/test_poller.py", "import requests\n\n", "import requests\nfrom loguru import logger\n\n"),
    (
        "tests/test_poller.py",
        '''        with closing(store.connect()) as db:
            db.executescript(store.SCHEMA)
''',
        '''        store.engine.cache_clear()
        self.addCleanup(store.engine.cache_clear)
        store.metadata.create_all(store.engine())
        sink = logger.add(
            lambda m: logging.getLogger("pressroom").log(m.record["level"].no, m.record["message"])
        )
        self.addCleanup(logger.remove, sink)
''',
    ),
    (
        "tests/test_poller.py",
        '''        with closing(store.connect()) as db:
            return tuple(db.execute(sql).fetchone() or ())
''',
        '''        with store.engine().connect() as db:
            return tuple(db.exec_driver_sql(sql).fetchone() or ())
''',
    ),
    ("tests/test_poller.py", "from contextlib import closing\n", ""),
    (
        "tests/test_poller.py",
        '"publish-due: article 1 (x): attempt 1 of 5 started"',
        '"publish-due: article 1 attempt 1 started"',
    ),
]

VARIANTS = [
    {
        "id": "ok-1", "kind": "correct", "job": "publish-due",
        "what": "Done steps in a table of their own, compare-and-set instead of a lock, adapter "
                "classes on httpx that swallow the 409 themselves, structlog",
        "edits": OK1,
    },
    {
        "id": "ok-2", "kind": "correct", "job": "publish-due",
        "what": "SQLAlchemy Core and a state machine, loguru, a cron trigger, a lock database",
        "edits": OK2,
    },
    {
        "id": "m-fresh-id", "kind": "mistake", "job": "publish-due",
        "what": "Each call of the hook has a message id of its own: an announcement whose answer "
                "was lost, or whose poller died, goes out twice",
        "edits": [
            (
                "pressroom/hook.py",
                "def announce(message_id: str, text: str, link: str) -> None:\n",
                "def new_id() -> str:\n    return f\"article-{uuid.uuid4()}\"\n\n\n"
                "def announce(message_id: str, text: str, link: str) -> None:\n",
            ),
            ("pressroom/hook.py", '"""\nimport requests\n', '"""\nimport uuid\n\nimport requests\n'),
            (
                "pressroom/poller.py",
                "message_id=f\"article-{article['id']}\"",
                "message_id=hook.new_id()",
            ),
            (
                "tests/test_poller.py",
                '''            message_id="article-1", text="Ein Titel", link="https://t/x"
''',
                '''            message_id=mock.ANY, text="Ein Titel", link="https://t/x"
''',
            ),
            (
                "tests/test_poller.py",
                '''        self.assertEqual({c.kwargs["message_id"] for c in self.say.call_args_list}, {"article-1"})
''',
                "",
            ),
        ],
    },
    {
        "id": "m-count-late", "kind": "mistake", "job": "publish-due",
        "what": "An attempt is counted when it has failed, not when it begins: an article that "
                "kills the poller is tried for ever, and those behind it never",
        "edits": [
            (
                "pressroom/store.py",
                '''def begin(db: sqlite3.Connection, article_id: int) -> None:
    """Counts the attempt before anything happens in it: one that kills us has been one, too."""
    with db:
        db.execute("update articles set attempts = attempts + 1 where id = ?", (article_id,))


''',
                "",
            ),
            (
                "pressroom/store.py",
                '"update articles set next_try_at = ?, last_error = ? where id = ?"',
                '"update articles set attempts = attempts + 1, next_try_at = ?, last_error = ?"\n'
                '            " where id = ?"',
            ),
            (
                "pressroom/store.py",
                '" select id, ?, ?, attempts, ? from articles where id = ?"',
                '" select id, ?, ?, attempts + 1, ? from articles where id = ?"',
            ),
            ("pressroom/poller.py", '    store.begin(db, article["id"])\n', ""),
            (
                "pressroom/poller.py",
                '''    if article["attempts"] >= MAX_ATTEMPTS:
        reason = article["last_error"] or "the poller died of it"
        store.spike(db, article["id"], _stage(article), reason, _now())
        log.error("spiked, %s attempts used up: %s", article["attempts"], reason)
        return
''',
                "",
            ),
            (
                "tests/test_poller.py",
                '''    def test_killed_each_time(self):
        self.put.side_effect = KeyboardInterrupt
        for _ in range(5):
            self.assertRaises(KeyboardInterrupt, self.poll)
        self.poll(3)
        self.assertEqual(self.put.call_count, 5)
        self.assertEqual(self.row("select stage, attempts from spiked"), ("cms", 5))
''',
                '''    def test_killed(self):
        self.put.side_effect = [KeyboardInterrupt, {"url": "https://t/x"}]
        self.assertRaises(KeyboardInterrupt, self.poll)
        self.poll()
        self.assertEqual(self.row()[0], "announced")
''',
            ),
            (
                "tests/test_poller.py",
                'self.assertEqual(self.row(), ("announced", "https://t/x", 1))',
                'self.assertEqual(self.row(), ("announced", "https://t/x", 0))',
            ),
        ],
    },
    {
        "id": "m-any-request-error", "kind": "mistake", "job": "publish-due",
        "what": "Every error of requests counts as passing, so a 404 of the hook is tried five "
                "times over a quarter of an hour",
        "edits": [
            (
                "pressroom/poller.py",
                '''    if isinstance(error, requests.HTTPError):
        status = error.response.status_code if error.response is not None else 500
        return status == 429 or status >= 500
    return isinstance(error, PASSING)
''',
                "    return isinstance(error, PASSING)\n",
            ),
            (
                "pressroom/poller.py",
                '''    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
''',
                "    requests.RequestException,\n",
            ),
        ],
    },
    {
        "id": "m-quiet", "kind": "mistake", "job": "publish-due",
        "what": "Failures went to the level debug, 'they are in the table anyway': the log shows "
                "an attempt that started and nothing else",
        "edits": [
            (
                "pressroom/poller.py",
                'log.error("spiked, no use in trying again: %s", reason)',
                'log.debug("spiked, no use in trying again: %s", reason)',
            ),
            (
                "pressroom/poller.py",
                'log.error("spiked after %s attempts: %s", attempt, reason)',
                'log.debug("spiked after %s attempts: %s", attempt, reason)',
            ),
            (
                "pressroom/poller.py",
                'log.error("spiked, %s attempts used up: %s", article["attempts"], reason)',
                'log.debug("spiked, %s attempts used up: %s", article["attempts"], reason)',
            ),
            (
                "pressroom/poller.py",
                'log.warning("attempt %s failed, retry at %s: %s", attempt, store.stamp(until), reason)',
                'log.debug("attempt %s failed, retry at %s: %s", attempt, store.stamp(until), reason)',
            ),
            (
                "tests/test_poller.py",
                '''        with self.assertLogs("pressroom", "ERROR"):
            self.poll(9)
''',
                "        self.poll(9)\n",
            ),
            (
                "tests/test_poller.py",
                '''                with self.assertLogs("pressroom", "ERROR"):
                    self.poll(3)
''',
                "                self.poll(3)\n",
            ),
        ],
    },
]
