FORECAST = "forecast-refresh"
ARCHIVE = "archive-day"

# ---------------------------------------------------------------- correct: three other ways to be right

OK_1_JOB_OLD = '''    if readings.forecast_version(meter_id) >= version:
        logger.info("forecast of {} is as new as version {} already", meter_id, version)
        return
    series = readings.series(meter_id, version)
    if not series:
        raise house.BadMessage(f"no readings of {meter_id} up to version {version}")
    answer = forecast.order(meter_id, version, series, order_key=f"meterhub/{meter_id}/{version}")
    readings.keep_forecast(meter_id, version, answer)
    logger.info("forecast {} of {} is of version {}", answer["forecast_id"], meter_id, version)
'''
OK_1_JOB_NEW = '''    kept, series = readings.due(meter_id, version)
    match kept, series:
        case int(), _ if kept >= version:
            outcome = f"superseded by version {kept}"
        case _, []:
            raise house.BadMessage(f"no readings of {meter_id} up to version {version}")
        case _:
            answer = forecast.order(meter_id, version, series, order_key=order_key(meter_id, version))
            newer = readings.keep_forecast(meter_id, version, answer)
            outcome = "kept" if newer else "came too late, a newer one is there"
    logger.bind(meter=meter_id, version=version).info("forecast of {} v{}: {}", meter_id, version, outcome)


def order_key(meter_id, version):
    return hashlib.sha256(f"{meter_id} {version}".encode()).hexdigest()[:32]
'''
OK_1_KEEP_OLD = '''def keep_forecast(meter_id, version, answer):
    """The higher version wins, in whatever order the answers come."""
    with db.writing() as con:
        con.execute(
            "insert into forecasts values (?, ?, ?, ?) on conflict (meter_id) do update"
            " set version = excluded.version, forecast_id = excluded.forecast_id, kwh = excluded.kwh"
            " where excluded.version > forecasts.version",
            (meter_id, version, answer["forecast_id"], json.dumps(answer["kwh"])),
        )
'''
OK_1_KEEP_NEW = '''def due(meter_id, version):
    """The version of the forecast that is kept (or None), and the readings for a new one."""
    with db.reading() as con:
        con.execute("begin")
        kept = con.execute("select max(version) from forecasts where meter_id = ?", (meter_id,)).fetchone()[0]
        wanted = "select hour, kwh from readings where meter_id = ? and version <= ? order by hour"
        return kept, con.execute(wanted, (meter_id, version)).fetchall()


def keep_forecast(meter_id, version, answer):
    """Compare the version and set, under the write lock; true if ours was the newer one."""
    fresh = {"meter": meter_id, "version": version, "id": answer["forecast_id"], "kwh": json.dumps(answer["kwh"])}
    with db.writing() as con:
        con.execute("insert or ignore into forecasts values (:meter, 0, '', '[]')", fresh)
        return con.execute(
            "update forecasts set version = :version, forecast_id = :id, kwh = :kwh"
            " where meter_id = :meter and version < :version",
            fresh,
        ).rowcount == 1
'''

OK_2_JOB_OLD = '''    if readings.archived(area, day):
        logger.info("{} {} is archived already", area, day)
        return
    rows = readings.day_rows(area, day)
    if not rows:
        raise house.BadMessage(f"no readings in {area} on {day}")
    key = f"readings/{area}/{day}.csv"
    body = "".join(f"{meter_id},{hour},{kwh:.3f}\\n" for meter_id, hour, kwh, _ in rows).encode()
    objects.put_object(Key=key, Body=body)
    readings.keep_archive(area, day, max(row[3] for row in rows), key, len(body))
    logger.info("{} {} archived as {}, {} bytes", area, day, key, len(body))
'''
OK_2_JOB_NEW = '''    key = f"readings/{area}/{day}.csv"
    # The row goes in first, but is committed only when the object is there; a second worker waits for the lock.
    with db.writing() as con:
        rows = con.execute(
            "select meter_id, hour, kwh, r.version from readings r join meters m using (meter_id)"
            " where m.area = ? and substr(hour, 1, 10) = ? order by meter_id, hour",
            (area, day),
        ).fetchall()
        if not rows:
            raise house.BadMessage(f"no readings in {area} on {day}")
        body = as_csv(rows)
        ours = con.execute(
            "insert into archives values (?, ?, ?, ?, ?) on conflict do nothing returning key",
            (area, day, max(version for *_, version in rows), key, len(body)),
        ).fetchall()
        if ours:
            objects.put_object(Key=key, Body=body)
    logger.bind(key=key).success("{} {}: {}", area, day, f"{len(body)} bytes archived" if ours else "nothing to do")


def as_csv(rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\\n")
    writer.writerows((meter_id, hour, f"{kwh:.3f}") for meter_id, hour, kwh, _ in rows)
    return out.getvalue().encode()
'''

OK_3_OLD = '''        @functools.wraps(work)
        def run(**payload):
            attempt = tried_before() + 1
            with logger.contextualize(job=name, payload=payload, attempt=attempt):
                try:
                    check(payload)
                    work(**payload)
                except (Exception, Interrupt) as error:  # Interrupt: time limit, or the worker is shutting down
                    if is_transient(error) and attempt < max_attempts:
                        logger.warning("{} failed, will be tried again: {!r}", name, error)
                        raise
                    park(name, payload, error, attempt)
                    raise Parked(f"{name} {payload}") from error

        return dramatiq.actor(
            run,
            actor_name=name,
            queue_name=queue,
            max_retries=max_attempts - 1,
            min_backoff=first_wait,
            max_backoff=longest_wait,
            throws=Parked,
        )
'''
OK_3_NEW = '''        def again(retries, error):
            """Asked here, and by Dramatiq's Retries: so both of them always agree."""
            return retries + 1 < max_attempts and is_transient(error)

        @contextlib.contextmanager
        def parking(payload):
            retries = tried_before()
            try:
                yield
            except (Exception, Interrupt) as error:
                if again(retries, error):
                    logger.bind(job=name, retries=retries).opt(exception=error).warning("{} {} later", name, payload)
                else:
                    park(name, payload, error, retries + 1)
                    error = Parked(f"{name} {payload}: {error!r}")
                raise error

        @functools.wraps(work)
        def run(**payload):
            with parking(payload):
                check(payload)
                work(**payload)

        return dramatiq.actor(
            run,
            actor_name=name,
            queue_name=queue,
            retry_when=again,
            min_backoff=first_wait,
            max_backoff=longest_wait,
        )
'''
OK_3_PARK_OLD = '''            "insert into parked_jobs values (?, ?, ?, ?, ?) on conflict (job, payload) do update"
            " set error = excluded.error, attempts = excluded.attempts, parked_at = excluded.parked_at",
'''
OK_3_PARK_NEW = '''            "insert or replace into parked_jobs (job, payload, error, attempts, parked_at) values (?, ?, ?, ?, ?)",
'''

VARIANTS = [
    dict(id="ok-1", kind="correct", job=FORECAST,
         what="Reads kept version and series in one snapshot, match statement, hashed order key, compare-and-set update instead of the upsert.",
         edits=[("meterhub/jobs.py", OK_1_JOB_OLD, OK_1_JOB_NEW),
                ("meterhub/jobs.py", "import re\n", "import hashlib\nimport re\n"),
                ("meterhub/readings.py", OK_1_KEEP_OLD, OK_1_KEEP_NEW)]),
    dict(id="ok-2", kind="correct", job=ARCHIVE,
         what="Insert-or-nothing of the archive's row and the upload under one immediate transaction that commits last; csv module.",
         edits=[("meterhub/jobs.py", OK_2_JOB_OLD, OK_2_JOB_NEW),
                ("meterhub/jobs.py", "import re\n", "import csv\nimport io\nimport re\n"),
                ("meterhub/jobs.py", "from meterhub import forecast, house,", "from meterhub import db, forecast, house,")]),
    dict(id="ok-3", kind="correct", job=FORECAST,
         what="The decorator shares one retry_when predicate with Dramatiq and parks in a context manager, with insert or replace; bound logger with traceback.",
         edits=[("meterhub/house.py", OK_3_OLD, OK_3_NEW),
                ("meterhub/house.py", "import functools\n", "import contextlib\nimport functools\n"),
                ("meterhub/house.py", OK_3_PARK_OLD, OK_3_PARK_NEW)]),

    dict(id="bad-1", kind="mistake", job=FORECAST,
         what="insert or replace without a look at the version: an answer that comes late overwrites the forecast of a newer version.",
         edits=[("meterhub/readings.py", '''    """The higher version wins, in whatever order the answers come."""
    with db.writing() as con:
        con.execute(
            "insert into forecasts values (?, ?, ?, ?) on conflict (meter_id) do update"
            " set version = excluded.version, forecast_id = excluded.forecast_id, kwh = excluded.kwh"
            " where excluded.version > forecasts.version",
''', '''    """One row per meter, the latest forecast."""
    with db.writing() as con:
        con.execute(
            "insert or replace into forecasts (meter_id, version, forecast_id, kwh) values (?, ?, ?, ?)",
''')]),
    dict(id="bad-2", kind="mistake", job=FORECAST,
         what="The order key names the meter only, so all versions of a meter share it and the service answers a new one with the old forecast.",
         edits=[("meterhub/jobs.py", 'order_key=f"meterhub/{meter_id}/{version}")', 'order_key=f"meterhub/forecast/{meter_id}")')]),
    dict(id="bad-3", kind="mistake", job=FORECAST,
         what="Instead of raising, the decorator sends the job anew to keep the error list clean; a new message has no retries counted, so it never gives up.",
         edits=[("meterhub/house.py", '''                        logger.warning("{} failed, will be tried again: {!r}", name, error)
                        raise
''', '''                        # Raising would fill the error tracker with outages that are not ours.
                        logger.warning("{} failed, will be tried again: {!r}", name, error)
                        wait = min(first_wait * 2 ** (attempt - 1), longest_wait)
                        actor.send_with_options(kwargs=payload, delay=wait)
                        return
'''),
                ("meterhub/house.py", "        return dramatiq.actor(\n", "        actor = dramatiq.actor(\n"),
                ("meterhub/house.py", "            throws=Parked,\n        )\n", "            throws=Parked,\n        )\n        return actor\n")]),
    dict(id="bad-4", kind="mistake", job=FORECAST,
         what="A forecast service that cannot be reached is logged and passed over ('the next readings order one anyway'): job done, no forecast, no retry.",
         edits=[("meterhub/jobs.py", '''    answer = forecast.order(meter_id, version, series, order_key=f"meterhub/{meter_id}/{version}")
''', '''    try:
        answer = forecast.order(meter_id, version, series, order_key=f"meterhub/{meter_id}/{version}")
    except httpx.TransportError as error:
        # The next readings of this meter order a forecast anyway.
        logger.warning("no forecast of {} v{}: {!r}", meter_id, version, error)
        return
'''),
                ("meterhub/jobs.py", "from loguru import logger\n", "import httpx\nfrom loguru import logger\n")]),
    dict(id="bad-5", kind="mistake", job=ARCHIVE,
         what="The archive's row is written before the upload, so that two workers do not both upload; after a failed or killed upload the retry finds the row and does nothing.",
         edits=[("meterhub/jobs.py", '''    objects.put_object(Key=key, Body=body)
    readings.keep_archive(area, day, max(row[3] for row in rows), key, len(body))
''', '''    readings.keep_archive(area, day, max(row[3] for row in rows), key, len(body))
    objects.put_object(Key=key, Body=body)
''')]),
    dict(id="bad-6", kind="mistake", job=ARCHIVE,
         what="The object's key has a random part, so that nothing is ever overwritten: every retry and redelivery leaves one more copy of the day.",
         edits=[("meterhub/jobs.py", 'key = f"readings/{area}/{day}.csv"', 'key = f"readings/{area}/{day}-{uuid.uuid4().hex[:8]}.csv"'),
                ("meterhub/jobs.py", "import re\n", "import re\nimport uuid\n")]),
    dict(id="bad-7", kind="mistake", job=ARCHIVE,
         what="Parking opens a plain sqlite3 connection and closes it without a commit, so the dead letter is rolled back.",
         edits=[("meterhub/house.py", "    with db.writing() as con:\n",
                 "    # Not db.writing(): must work also while the job's own transaction is being rolled back.\n"
                 "    with closing(sqlite3.connect(settings.database(), timeout=15)) as con:\n"),
                ("meterhub/house.py", "import functools\nimport json\n", "import functools\nimport json\nimport sqlite3\nfrom contextlib import closing\n"),
                ("meterhub/house.py", "from meterhub import broker, db\n", "from meterhub import broker, settings\n")]),
]
