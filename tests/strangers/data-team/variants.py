ACTORS, BATCHES, BROKER, SHIPPER, EXPORTS = ("pipeline/" + n for n in ("actors.py", "batches.py", "broker.py", "shipper.py", "exports.py"))

GUARD = '''        try:
            batches.archive(batch_id, source, rows)
        except ClientError as error:
            if store.is_temporary(error):
                logger.warning("object store is busy: {}", error)
                raise
            raise StoreRefused(f"batch {batch_id}: {error}") from error
'''
INSERT_BATCH = '''        new = conn.execute(
            "insert into batches (batch_id, source, row_count) values (?, ?, ?) on conflict do nothing",
            [batch_id, source, len(rows)],
        ).rowcount
        if not new:
            return False
'''
TOTALS = '''        conn.execute(
            "insert into source_totals (source, batches, row_count) values (?, 1, ?)"
            " on conflict (source) do update set batches = batches + 1, row_count = row_count + excluded.row_count",
            [source, len(rows)],
        )
'''
LOOP = '''    for export in open_exports():
        try:
            ship(export)
        except ClientError as error:
            note_failure(export, error, final=not store.is_temporary(error))
        except (BotoCoreError, catalog.CatalogDown, TimeoutError) as error:
            note_failure(export, error, final=False)
        except Exception as error:
            note_failure(export, error, final=True)
'''
SHIP = '''    if export["status"] == "pending":
        store.s3.put_object(Bucket=config.EXPORT_BUCKET, Key=key, Body=exports.as_csv(export), ContentType="text/csv")
        advance(export["id"], "pending", "uploaded", location)
    catalog.announce(dataset=export["source"], location=location, request_id=f"export-{export['id']}")
    advance(export["id"], "uploaded", "published", location)
'''
NOTE = '''        now = conn.execute("select status, attempts from exports where id = ?", [export["id"]]).fetchone()
        if now["status"] in ("published", "dead"):
            return
        dead = final or now["attempts"] + 1 >= config.ATTEMPTS
        conn.execute(
            "update exports set attempts = attempts + 1, status = ? where id = ?",
            ["dead" if dead else now["status"], export["id"]],
        )
        if dead:
            conn.execute("insert into dead_exports (export_id, error) values (?, ?)", [export["id"], repr(error)])
'''
LOG = '''    level = "ERROR" if dead else "WARNING"
    logger.log(level, "export {} ({} {}) failed{}: {!r}", export["id"], export["source"], export["day"], ", given up" if dead else "", error)
'''

VARIANTS = [
    dict(id="ok-1", kind="correct", job="load-batch", what="Which error is worth another try is decided by retry_when",
         edits=[
             (ACTORS, '''    max_retries=config.ATTEMPTS - 1,
    min_backoff=5_000,
    max_backoff=600_000,
    throws=(batches.BadBatch, StoreRefused),
''', '''    retry_when=worth_another_try,
    min_backoff=5_000,
    max_backoff=600_000,
'''),
             (ACTORS, '''class StoreRefused(Exception):
    """The object store will not take it, now or later."""
''', '''def worth_another_try(retries, error):
    if isinstance(error, batches.BadBatch):
        return False
    if isinstance(error, ClientError) and not store.is_temporary(error):
        return False
    return retries < config.ATTEMPTS - 1
'''),
             (ACTORS, GUARD, '''        batches.archive(batch_id, source, rows)
'''),
         ]),
    dict(id="ok-2", kind="correct", job="load-batch",
         what="The mark is looked up inside the transaction, rows are replaced, and the totals are computed anew from the batches",
         edits=[
             (BATCHES, INSERT_BATCH, '''        if conn.execute("select count(*) from batches where batch_id = ?", [batch_id]).fetchone()[0]:
            return False
        conn.execute("insert into batches values (?, ?, ?)", [batch_id, source, len(rows)])
'''),
             (BATCHES, '''            "insert into readings (sensor, at, value, source) values (?, ?, ?, ?)"
            " on conflict (sensor, at) do update set value = excluded.value, source = excluded.source",
''', '''            "insert or replace into readings (sensor, at, value, source) values (?, ?, ?, ?)",
'''),
             (BATCHES, TOTALS, '''        conn.execute("delete from source_totals where source = ?", [source])
        conn.execute(
            "insert into source_totals select source, count(*), sum(row_count) from batches where source = ? group by source",
            [source],
        )
'''),
         ]),
    dict(id="ok-3", kind="correct", job="ship-exports", what="Two passes: first everything pending is uploaded, then everything uploaded is announced",
         edits=[
             (SHIPPER, '''def open_exports():
    with db.reading() as conn:
        return conn.execute("select * from exports where status in ('pending', 'uploaded') order by id").fetchall()
''', '''def in_status(status):
    with db.reading() as conn:
        return conn.execute("select * from exports where status = ? order by id", [status]).fetchall()
'''),
             (SHIPPER, "def ship(export):\n", '''def upload(export):
    key = exports.object_key(export)
    store.s3.put_object(Bucket=config.EXPORT_BUCKET, Key=key, Body=exports.as_csv(export), ContentType="text/csv")
    advance(export["id"], "pending", "uploaded", f"s3://{config.EXPORT_BUCKET}/{key}")


def publish(export):
'''),
             (SHIPPER, '''    key = exports.object_key(export)
    location = f"s3://{config.EXPORT_BUCKET}/{key}"
''' + SHIP, '''    location = export["location"]
    catalog.announce(dataset=export["source"], location=location, request_id=f"export-{export['id']}")
    advance(export["id"], "uploaded", "published", location)
'''),
             (SHIPPER, "def ship_pending():\n" + LOOP, '''def each(status, step):
    for export in in_status(status):
        try:
            step(export)
        except ClientError as error:
            note_failure(export, error, final=not store.is_temporary(error))
        except (BotoCoreError, catalog.CatalogDown, TimeoutError) as error:
            note_failure(export, error, final=False)
        except Exception as error:
            note_failure(export, error, final=True)


def ship_pending():
    each("pending", upload)
    each("uploaded", publish)
'''),
         ]),
    dict(id="ok-4", kind="correct", job="ship-exports", what="A bound logger per export, the traceback in the record, and one function that judges errors",
         edits=[
             (SHIPPER, LOOP, '''    for export in open_exports():
        log = logger.bind(export_id=export["id"], source=export["source"], day=export["day"])
        try:
            ship(export)
        except Exception as error:
            log.opt(exception=True).error("export not shipped")
            note_failure(export, error, final=not may_pass(error))
'''),
             (SHIPPER, LOG, '''    if dead:
        logger.bind(export_id=export["id"]).critical("export {} given up", export["id"])
'''),
             (SHIPPER, "def ship_pending():\n", '''def may_pass(error):
    if isinstance(error, ClientError):
        return store.is_temporary(error)
    return isinstance(error, (BotoCoreError, catalog.CatalogDown, TimeoutError))


def ship_pending():
'''),
         ]),
    dict(id="ok-5", kind="correct", job="ship-exports",
         what="Each export is read again just before its turn, and the failure is counted by one UPDATE ... RETURNING",
         edits=[
             (SHIPPER, '''        return conn.execute("select * from exports where status in ('pending', 'uploaded') order by id").fetchall()
''', '''        ids = [row["id"] for row in conn.execute("select id from exports where status in ('pending', 'uploaded') order by id")]
    for export_id in ids:
        with db.reading() as conn:
            yield conn.execute("select * from exports where id = ?", [export_id]).fetchone()
'''),
             (SHIPPER, "    for export in open_exports():\n        try:\n", '''    for export in open_exports():
        if export["status"] not in ("pending", "uploaded"):
            continue
        try:
'''),
             (SHIPPER, NOTE, '''        counted = conn.execute(
            "update exports set attempts = attempts + 1, status = case when ? or attempts + 1 >= ? then 'dead' else status end"
            " where id = ? and status not in ('published', 'dead') returning status",
            [final, config.ATTEMPTS, export["id"]],
        ).fetchone()
        if counted is None:
            return
        dead = counted["status"] == "dead"
        if dead:
            conn.execute("insert or ignore into dead_exports (export_id, error) values (?, ?)", [export["id"], str(error)])
'''),
         ]),
    dict(id="ok-6", kind="correct", job="load-batch", what="The dead batch is kept by the actor's own wrapper, which knows the message and its retries, instead of by a middleware",
         edits=[
             (BROKER, '''    broker.add_middleware(DeadBatches(), before=Retries)
''', '''    broker.add_middleware(CurrentMessage())
'''),
             (BROKER, '''class DeadBatches(dramatiq.Middleware):
    """Keeps what Retries has given up. Stands before Retries, and so hears of the outcome after it."""

    def after_process_message(self, broker, message, *, result=None, exception=None):
        if exception is None or not message.failed:
            return
        batch_id = message.kwargs.get("batch_id")
        with db.writing() as conn:
            conn.execute(
                "insert into dead_batches (message_id, batch_id, message, error) values (?, ?, ?, ?) on conflict do nothing",
                [message.message_id, str(batch_id), json.dumps(message.kwargs, default=str), repr(exception)],
            )
        logger.error("batch {} is dead: {!r} (message {})", batch_id, exception, message.message_id)
''', '''@contextmanager
def dead_batches(message, final):
    """Keeps a batch whose error is final, or whose last attempt this was."""
    try:
        yield
    except Exception as error:
        current = CurrentMessage.get_current_message()
        retries = current.options.get("retries", 0) if current else 0
        message_id = current.message_id if current else "direct"
        if isinstance(error, final) or retries + 1 >= config.ATTEMPTS:
            with db.writing() as conn:
                conn.execute(
                    "insert into dead_batches (message_id, batch_id, message, error) values (?, ?, ?, ?) on conflict do nothing",
                    [message_id, str(message.get("batch_id")), json.dumps(message, default=str), repr(error)],
                )
            logger.error("batch {} is dead: {!r} (message {})", message.get("batch_id"), error, message_id)
        raise
'''),
             (BROKER, "import json\n\nimport dramatiq\n", "import json\nfrom contextlib import contextmanager\n\n"),
             (BROKER, "from dramatiq.middleware import Retries\n", "from dramatiq.middleware import CurrentMessage\n"),
             (ACTORS, '''def load_batch(**message):
    batch_id, source, rows = batches.check(message)
''', '''def load_batch(**message):
    with broker.dead_batches(message, final=(batches.BadBatch, StoreRefused)):
        load(message)


def load(message):
    batch_id, source, rows = batches.check(message)
'''),
         ]),
    dict(id="m-1", kind="mistake", job="load-batch", what="The raw object's key carries the time of the upload, so every attempt leaves another object",
         edits=[(BATCHES, "import json\n", "import json\nfrom datetime import datetime, timezone\n"),
                (BATCHES, 'Key=f"raw/{source}/{batch_id}.json"', 'Key=f"raw/{source}/{datetime.now(timezone.utc):%Y%m%dT%H%M%S%f}-{batch_id}.json"')]),
    dict(id="m-2", kind="mistake", job="load-batch", what="The raw object is named after source and day, so the day's second batch overwrites the first",
         edits=[(BATCHES, 'Key=f"raw/{source}/{batch_id}.json"', "Key=f\"raw/{source}/{rows[0]['at'][:10]}.json\"")]),
    dict(id="m-3", kind="mistake", job="load-batch", what="The batch is claimed in a transaction of its own before the upload; after a death it counts as loaded",
         edits=[(ACTORS, '''        if batches.is_loaded(batch_id):
''', '''        if not batches.claim(batch_id, source, len(rows)):
'''),
                (BATCHES, '''def is_loaded(batch_id):
    with db.reading() as conn:
        return conn.execute("select 1 from batches where batch_id = ?", [batch_id]).fetchone() is not None
''', '''def claim(batch_id, source, row_count):
    with db.writing() as conn:
        return conn.execute(
            "insert into batches (batch_id, source, row_count) values (?, ?, ?) on conflict do nothing",
            [batch_id, source, row_count],
        ).rowcount == 1
'''),
                (BATCHES, INSERT_BATCH, "")]),
    dict(id="m-4", kind="mistake", job="load-batch", what="Every ClientError is retried, a missing bucket too",
         edits=[(ACTORS, GUARD, '''        try:
            batches.archive(batch_id, source, rows)
        except ClientError as error:
            logger.warning("object store: {}", error)
            raise
''')]),
    dict(id="m-5", kind="mistake", job="load-batch", what="The totals are counted in a second transaction, which a death can leave out for good",
         edits=[(BATCHES, TOTALS, '''    with db.writing() as conn:
''' + TOTALS)]),
    dict(id="m-6", kind="mistake", job="load-batch", what="A throttled upload is logged and the batch dropped",
         edits=[(ACTORS, '''                logger.warning("object store is busy: {}", error)
                raise
''', '''                logger.warning("object store is busy, skipping: {}", error)
                return
''')]),
    dict(id="m-7", kind="mistake", job="load-batch", what="The dead-letter middleware is added behind Retries and so asks before the message has failed",
         edits=[(BROKER, "    broker.add_middleware(DeadBatches(), before=Retries)\n", "    broker.add_middleware(DeadBatches())\n"),
                (BROKER, "from dramatiq.middleware import Retries\n", "")]),
    dict(id="m-8", kind="mistake", job="load-batch", what="max_retries=None: a batch is tried for ever",
         edits=[(ACTORS, "    max_retries=config.ATTEMPTS - 1,\n", "    max_retries=None,\n")]),
    dict(id="m-9", kind="mistake", job="load-batch", what="The batch row is replaced instead of inserted once, and two deliveries both add to the totals",
         edits=[(BATCHES, INSERT_BATCH, '''        conn.execute(
            "insert or replace into batches (batch_id, source, row_count) values (?, ?, ?)",
            [batch_id, source, len(rows)],
        )
''')]),
    dict(id="m-10", kind="mistake", job="ship-exports", what="The records of failures do not say which export it was",
         edits=[(SHIPPER, LOG, '''    logger.log("ERROR" if dead else "WARNING", "export failed{}: {!r}", ", given up" if dead else "", error)
''')]),
    dict(id="m-11", kind="mistake", job="ship-exports", what="A catalog that is down ends the poll and is not counted, so the attempts have no end",
         edits=[(SHIPPER, '''        except (BotoCoreError, catalog.CatalogDown, TimeoutError) as error:
            note_failure(export, error, final=False)
''', '''        except (BotoCoreError, TimeoutError) as error:
            note_failure(export, error, final=False)
        except catalog.CatalogDown:
            logger.warning("catalog is down, export {} and the rest wait for the next poll", export["id"])
            return
''')]),
    dict(id="m-12", kind="mistake", job="ship-exports", what="All exports of a source are uploaded as latest.csv and overwrite each other",
         edits=[(EXPORTS, '''return f"export/{export['source']}/{export['day']}.csv"''', '''return f"export/{export['source']}/latest.csv"''')]),
    dict(id="m-13", kind="mistake", job="ship-exports", what="The catalog's request id counts the attempts, so an announcement that timed out is made twice",
         edits=[(SHIPPER, '''request_id=f"export-{export['id']}")''', '''request_id=f"export-{export['id']}-{export['attempts']}")''')]),
    dict(id="m-14", kind="mistake", job="ship-exports", what="Marked as published right after the upload; the announcement follows and may never come",
         edits=[(SHIPPER, '''        advance(export["id"], "pending", "uploaded", location)
    catalog.announce(dataset=export["source"], location=location, request_id=f"export-{export['id']}")
    advance(export["id"], "uploaded", "published", location)
''', '''        advance(export["id"], "pending", "published", location)
    catalog.announce(dataset=export["source"], location=location, request_id=f"export-{export['id']}")
''')]),
    dict(id="m-15", kind="mistake", job="ship-exports", what="The attempts are counted in a dictionary of the process and forgotten at every restart",
         edits=[(SHIPPER, "def note_failure(", '''attempts = {}


def note_failure('''),
                (SHIPPER, '''        dead = final or now["attempts"] + 1 >= config.ATTEMPTS
        conn.execute(
            "update exports set attempts = attempts + 1, status = ? where id = ?",
''', '''        attempts[export["id"]] = attempts.get(export["id"], 0) + 1
        dead = final or attempts[export["id"]] >= config.ATTEMPTS
        conn.execute(
            "update exports set status = ? where id = ?",
''')]),
    dict(id="m-16", kind="mistake", job="ship-exports", what="The status 'dead' is committed before the dead letter is written",
         edits=[(SHIPPER, '''        if dead:
            conn.execute("insert into dead_exports (export_id, error) values (?, ?)", [export["id"], repr(error)])
''', '''    if dead:
        with db.writing() as conn:
            conn.execute("insert into dead_exports (export_id, error) values (?, ?)", [export["id"], repr(error)])
''')]),
    dict(id="m-17", kind="mistake", job="ship-exports", what="A late failure overwrites the state of an export that the other poller has published",
         edits=[(SHIPPER, '''        if now["status"] in ("published", "dead"):
            return
        dead = final''', '''        if now["status"] == "dead":
            return
        dead = final''')]),
    dict(id="m-18", kind="mistake", job="ship-exports", what="A refusal by the catalog is tried again like an outage",
         edits=[(SHIPPER, "except (BotoCoreError, catalog.CatalogDown, TimeoutError) as error:", "except (BotoCoreError, catalog.CatalogDown, catalog.CatalogRefused, TimeoutError) as error:")]),
    dict(id="m-19", kind="mistake", job="ship-exports", what="Failures are noted with the state that was read at the start of the poll, which sends an uploaded export back to pending or a published one anywhere",
         edits=[(SHIPPER, NOTE, '''        dead = final or export["attempts"] + 1 >= config.ATTEMPTS
        conn.execute(
            "update exports set attempts = ?, status = ? where id = ?",
            [export["attempts"] + 1, "dead" if dead else export["status"], export["id"]],
        )
        if dead:
            conn.execute("insert or ignore into dead_exports (export_id, error) values (?, ?)", [export["id"], repr(error)])
''')]),
]
