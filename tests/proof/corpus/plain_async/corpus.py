"""A welcome mail: an asyncio function that APScheduler runs once, with a loop of its own around the provider."""

from run import Mutant, Variant

DRIVER = None
W, DB, REG, SPEC = (
    "accounts/welcome.py",
    "accounts/db.py",
    "accounts/registration.py",
    ".skillrun/jobs/send-welcome.yaml",
)
KEY = 'key=f"welcome-{user_id}"'
CHECK = """    if await was_sent(user_id):
        log.info("welcome for user %s: was sent before", user_id)
        return
"""
TRY = """    try:
        await send(user_id, email)
    except (mail.Rejected, mail.Unavailable, TimeoutError) as error:
        await give_up(user_id, repr(error))
        return
"""
MARK = """    async with connect() as connection:
        await connection.execute("insert or ignore into welcomes values (?, ?)", (user_id, email))
        await connection.commit()
"""
WARN = 'log.warning("welcome for user %s: %r, tried again in %s s", user_id, error, wait)'
GIVE = """    except (mail.Rejected, mail.Unavailable, TimeoutError) as error:
        await give_up(user_id, repr(error))
        return
"""

MUTANTS = [
    Mutant("B01", "a new key for every call", ((W, KEY, "key=str(uuid.uuid4())"), (W, "import logging\n", "import logging\nimport uuid\n"))),
    Mutant("B02", "the key is made of the hash of a text", ((W, KEY, "key=str(hash(email))"),)),
    Mutant("B03", "the key has the hour in it", (
        (W, KEY, 'key=f"welcome-{user_id}-{datetime.now():%Y%m%d%H}"'), (W, "import logging\n", "import logging\nfrom datetime import datetime\n"))),
    Mutant("B04", "the key has the wait in it", ((W, KEY, 'key=f"welcome-{user_id}-{wait}"'),), quick=True),
    Mutant("C01", "check, then insert, and the key of the table is not unique", (
        (DB, "welcomes (user_id integer primary key", "welcomes (user_id integer"), (W, "insert or ignore into welcomes", "insert into welcomes")),
        source="hermes-agent#57832", quick=True),
    Mutant("C02", "marked before it is sent", ((W, TRY + MARK, MARK + TRY),)),
    Mutant("C03", "nothing remembers that it was sent, and the mark fails the second time", (
        (W, CHECK, ""), (W, "insert or ignore into welcomes", "insert into welcomes"))),
    Mutant("C04", "nothing remembers that it was sent", ((W, CHECK, ""),),
           keeps="the receiver drops the second mail by its key (its window is not bounded in the spec), and the mark "
           "ignores the second insert: only the work is done again"),
    Mutant("C05", "remembered in a module's set", (
        (W, "WAITS = (2, 6, 18)\n", "WAITS = (2, 6, 18)\nSEEN: set[int] = set()\n"),
        (W, "    if await was_sent(user_id):", "    if user_id in SEEN:"),
        (W, MARK, "    SEEN.add(user_id)\n" + MARK.replace("or ignore ", "")))),
    Mutant("D01", "tried for ever", ((W, "for wait in (*WAITS, None):", "for wait in itertools.repeat(2):"), (W, "import asyncio\n", "import asyncio\nimport itertools\n"))),
    Mutant("D02", "one attempt too few", ((W, "(*WAITS, None)", "(*WAITS[:2], None)"),)),
    Mutant("D03", "one attempt too many", ((W, "(*WAITS, None)", "(*WAITS, 30, None)"),)),
    Mutant("D04", "a mail that was rejected is sent again", (
        (W, "        except (mail.Unavailable, TimeoutError) as error:", "        except Exception as error:"),)),
    Mutant("D05", "the waits are forgotten", ((W, "            await asyncio.sleep(wait)\n", ""),), quick=True),
    Mutant("D06", "the waits are not awaited", ((W, "            await asyncio.sleep(wait)\n", "            asyncio.ensure_future(asyncio.sleep(wait))\n"),)),
    Mutant("D07", "flat waits", ((W, "asyncio.sleep(wait)", "asyncio.sleep(2)"),)),
    Mutant("D08", "no wait is longer than ten seconds", ((W, "asyncio.sleep(wait)", "asyncio.sleep(min(wait, 10))"),)),
    Mutant("D09", "a timeout is not tried again", (
        (W, "        except (mail.Unavailable, TimeoutError) as error:", "        except mail.Unavailable as error:"),)),
    Mutant("E01", "the mark is not committed", ((W, MARK, MARK.replace("        await connection.commit()\n", "")),)),
    Mutant("E02", "the dead letter is not committed", (
        (W, '(str(user_id), reason)\n        )\n        await connection.commit()\n', '(str(user_id), reason)\n        )\n'),)),
    Mutant("E03", "the mail is sent by a task that nobody waits for", (
        (W, "        await send(user_id, email)\n", "        asyncio.create_task(send(user_id, email))\n"),)),
    Mutant("E04", "given up without a dead letter", ((W, GIVE, GIVE.replace("await give_up(user_id, repr(error))", 'log.error("welcome for user %s: %r", user_id, error)')),)),
    Mutant("E05", "a crash between the last try and the dead letter: marked first, so the user is lost", (
        (W, "    try:\n        await send", "    async with connect() as connection:\n        await connection.execute(\"insert or ignore into failed_welcomes values (?, 'begun')\", (str(user_id),))\n        await connection.commit()\n    try:\n        await send"),)),
    Mutant("F01", "a failure ends as a success", ((W, "        await give_up(user_id, repr(error))\n        return\n", "        log.info(\"welcome for user %s: %r\", user_id, error)\n"),)),
    Mutant("F02", "the records name no user", (
        (W, '"welcome for user %s: begins", user_id', '"welcome begins"'), (W, '"welcome for user %s: sent", user_id', '"welcome sent"'),
        (W, '"welcome for user %s: was sent before", user_id', '"sent before"'))),
    Mutant("F03", "no record says that it was sent", ((W, '    log.info("welcome for user %s: sent", user_id)\n', ""),)),
    Mutant("F04", "a failure has no reason", (
        (W, WARN, 'log.warning("welcome for user %s: trouble", user_id)'), (W, '"welcome for user %s: given up: %s", user_id, reason', '"welcome for user %s: given up", user_id'))),
    Mutant("G01", "the key is the address", ((W, KEY, 'key=f"welcome-{email}"'),)),
    Mutant("G02", "no check of the payload", (
        (W, "    if not isinstance(user_id, int) or \"@\" not in email:\n        await give_up(user_id, \"not a user with an address\")\n        return\n", ""),)),
]  # fmt: skip

_TENACITY = '''"""The welcome mail."""

import sqlite3

import aiosqlite
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from accounts import mail
from accounts.db import connect


def say(event: str, **fields: object) -> None:
    print(event, *(f"{key}={value}" for key, value in fields.items()))


async def send_welcome(user_id=None, email="", **_) -> None:
    say("welcome.begin", user_id=user_id)
    try:
        if type(user_id) is not int or not email:
            raise mail.Rejected("no address")
        async with connect() as connection:
            rows = await connection.execute_fetchall("select 1 from welcomes where user_id = ?", (user_id,))
            if rows:
                say("welcome.again", user_id=user_id)
                return
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type((mail.Unavailable, TimeoutError)),
                stop=stop_after_attempt(4),
                wait=wait_exponential(multiplier=2, exp_base=3, max=30),
                reraise=True,
            ):
                with attempt:
                    await mail.deliver(email, "welcome", key=str(user_id))
            try:
                await connection.execute("insert into welcomes values (?, ?)", (user_id, email))
                await connection.commit()
            except sqlite3.IntegrityError:
                say("welcome.raced", user_id=user_id)
        say("welcome.done", user_id=user_id)
    except Exception as error:
        if not isinstance(error, (mail.Rejected, mail.Unavailable, TimeoutError)):
            raise
        async with connect() as connection:
            await connection.execute("replace into failed_welcomes values (?, ?)", (str(user_id), str(error)))
            await connection.commit()
        say("welcome.failed", user_id=user_id, error=repr(error))
'''

_SYNC = '''"""The welcome mail; the database is asked in a thread."""

import asyncio
import json
import logging
import os
import sqlite3
from contextlib import closing

from accounts import mail

logger = logging.getLogger("accounts")


class GivenUp(Exception):
    """Seen to."""


def ask(sql: str, *args: object) -> list[tuple]:
    with closing(sqlite3.connect(os.environ["ACCOUNTS_DB"], timeout=10)) as connection, connection:
        return connection.execute(sql, args).fetchall()


class Welcome:
    def __init__(self, user_id: int, email: str) -> None:
        self.user_id, self.email = user_id, email

    def log(self, event: str, **more: object) -> None:
        logger.info(json.dumps({"event": event, "user_id": self.user_id, **more}))

    async def run(self) -> None:
        self.log("begun")
        if await asyncio.to_thread(ask, "select * from welcomes where user_id = ?", self.user_id):
            return
        for attempt in range(1, 5):
            try:
                await mail.deliver(self.email, "welcome", key=f"w{self.user_id}")
                break
            except (mail.Unavailable, TimeoutError) as error:
                self.log("trouble", attempt=attempt, error=repr(error))
                if attempt == 4:
                    raise GivenUp(repr(error)) from error
                await asyncio.sleep(2 * 3 ** (attempt - 1))
            except mail.Rejected as error:
                raise GivenUp(repr(error)) from error
        await asyncio.to_thread(ask, "insert or ignore into welcomes values (?, ?)", self.user_id, self.email)
        self.log("done")


async def send_welcome(user_id: int = 0, email: str = "") -> None:
    job = Welcome(user_id, email)
    try:
        if not isinstance(user_id, int) or not email:
            raise GivenUp("payload")
        await job.run()
    except GivenUp as error:
        await asyncio.to_thread(ask, "insert or ignore into failed_welcomes values (?, ?)", str(user_id), str(error))
        job.log("failed", error=str(error))
'''

VARIANTS = [
    Variant("tenacity", "tenacity's AsyncRetrying, printed lines, the unique row refuses the second mark", {W: _TENACITY}, quick=True),
    Variant("threads", "sqlite3 in threads, a class, JSON in the records", {W: _SYNC}),
    Variant("payload", "the whole payload in one argument", edits=(
        (W, 'async def send_welcome(user_id: int | None = None, email: str = "") -> None:\n    """Sends it once to each user; tries four times, then leaves it in failed_welcomes."""\n',
         'async def send_welcome(job: dict) -> None:\n    """Sends it once."""\n    user_id, email = job.get("user_id"), job.get("email", "")\n'),
        (REG, 'kwargs={"user_id": user_id, "email": email}', 'args=[{"user_id": user_id, "email": email}]'),
        (SPEC, "message: kwargs\n", ""))),
]  # fmt: skip
