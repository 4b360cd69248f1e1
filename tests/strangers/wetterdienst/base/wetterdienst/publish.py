"""The job: publish the file of one station's day."""
import asyncio
import csv
import hashlib
import io
import json
import logging
import re
import sqlite3
from datetime import date

from arq import Retry

from . import archive, hub, jsonlog
from .days import Days

log = jsonlog.get("wetterdienst.publish")

ATTEMPTS = 5
# One delivery more than attempts: it buries what the fifth did not live to bury.
MAX_TRIES = ATTEMPTS + 1
WAITS = (30, 120, 480, 600)

STATION = re.compile(r"[0-9]{5}")
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

PASSING = (archive.ArchiveUnavailable, hub.HubUnavailable, sqlite3.OperationalError)


class MalformedMessage(Exception):
    pass


class UnknownDay(Exception):
    pass


class TooManyStarts(Exception):
    pass


async def publish_day(ctx, **message):
    days, file = Days(), None
    attempt = ctx["job_try"]
    facts = {"job": "publish_day", "job_id": ctx["job_id"], "key": key_of(message)}

    def say(level, outcome, error=None):
        more = {"reason": reason(error)} if error else {}
        log.log(level, outcome, extra={"facts": {**facts, "attempt": attempt, "outcome": outcome, **more}})

    try:
        if not valid(message):
            raise MalformedMessage("fields")
        file = await asyncio.to_thread(days.begin, message["station"], message["day"])
        if file is None:
            raise UnknownDay("the day was never closed")
        if file.status != "due":
            return say(logging.INFO, f"already {file.status}")
        attempt = max(attempt, file.starts)
        if attempt > ATTEMPTS:
            raise TooManyStarts(f"{file.starts} starts")
        say(logging.INFO, "started")
        await _publish(days, file)
        first = await asyncio.to_thread(days.published, file)
        say(logging.INFO, "published" if first else "published by another delivery")
    except Exception as error:
        if isinstance(error, PASSING) and attempt < ATTEMPTS:
            say(logging.WARNING, "retry", error)
            raise Retry(defer=wait(attempt)) from error
        try:
            if file is None:
                buried = await asyncio.to_thread(give_up, days, message, facts, error, attempt)
            else:
                buried = await asyncio.to_thread(days.bury, file, ctx["job_id"], reason(error), attempt)
        except sqlite3.OperationalError as locked:
            say(logging.ERROR, "not buried", locked)
            if ctx["job_try"] < MAX_TRIES:
                raise Retry(defer=wait(attempt)) from error
            raise  # the sweep finds it
        say(logging.ERROR if buried else logging.INFO, "dead letter" if buried else "settled elsewhere", error)


async def _publish(days, file):
    key = f"daily/{file.station}/{file.day}.csv"
    if not file.stored:
        rows = await asyncio.to_thread(days.readings, file.station, file.day)
        await asyncio.to_thread(archive.put, key, as_csv(rows))
        await asyncio.to_thread(days.stored, file)
    event = {"type": "daily-file", "station": file.station, "day": file.day, "object": key}
    await hub.announce(event, event_id=f"daily-{file.station}-{file.day}")


def give_up(days, message, facts, error, attempt):
    """Bury what never became a file in our hands."""
    if isinstance(error, sqlite3.OperationalError):
        file = days.begin(message["station"], message["day"])
        if file is not None:
            return days.bury(file, facts["job_id"], reason(error), attempt)
    return days.lay_aside(facts["key"], facts["job_id"], reason(error), attempt)


def as_csv(rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["hour", "temperature", "rain"])
    writer.writerows(tuple(row) for row in rows)
    return out.getvalue().encode()


def valid(message):
    if set(message) != {"station", "day"} or not all(isinstance(v, str) for v in message.values()):
        return False
    if not STATION.fullmatch(message["station"]) or not DAY.fullmatch(message["day"]):
        return False
    try:
        date.fromisoformat(message["day"])
    except ValueError:
        return False
    return True


def key_of(message):
    if valid(message):
        return f"{message['station']}/{message['day']}"
    text = json.dumps(message, sort_keys=True, default=str)
    return "malformed-" + hashlib.sha256(text.encode()).hexdigest()[:24]


def reason(error):
    return f"{type(error).__name__}: {error}"


def wait(attempt):
    return WAITS[min(attempt, len(WAITS)) - 1]
