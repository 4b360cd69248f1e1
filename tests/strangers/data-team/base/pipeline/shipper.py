"""The poller: every export that is not finished gets its next step. A bad one does not hold up the others."""
import time

from botocore.exceptions import BotoCoreError, ClientError
from loguru import logger

from . import catalog, config, db, exports, store


def open_exports():
    with db.reading() as conn:
        return conn.execute("select * from exports where status in ('pending', 'uploaded') order by id").fetchall()


def advance(export_id, before, after, location):
    with db.writing() as conn:
        conn.execute(
            "update exports set status = ?, location = ? where id = ? and status = ?",
            [after, location, export_id, before],
        )


def note_failure(export, error, final):
    """Counts the attempt; with the last one the export is dead, and says so in both tables at once."""
    with db.writing() as conn:
        now = conn.execute("select status, attempts from exports where id = ?", [export["id"]]).fetchone()
        if now["status"] in ("published", "dead"):
            return
        dead = final or now["attempts"] + 1 >= config.ATTEMPTS
        conn.execute(
            "update exports set attempts = attempts + 1, status = ? where id = ?",
            ["dead" if dead else now["status"], export["id"]],
        )
        if dead:
            conn.execute("insert into dead_exports (export_id, error) values (?, ?)", [export["id"], repr(error)])
    level = "ERROR" if dead else "WARNING"
    logger.log(level, "export {} ({} {}) failed{}: {!r}", export["id"], export["source"], export["day"], ", given up" if dead else "", error)


def ship(export):
    key = exports.object_key(export)
    location = f"s3://{config.EXPORT_BUCKET}/{key}"
    if export["status"] == "pending":
        store.s3.put_object(Bucket=config.EXPORT_BUCKET, Key=key, Body=exports.as_csv(export), ContentType="text/csv")
        advance(export["id"], "pending", "uploaded", location)
    catalog.announce(dataset=export["source"], location=location, request_id=f"export-{export['id']}")
    advance(export["id"], "uploaded", "published", location)
    logger.info("export {} published at {}", export["id"], location)


def ship_pending():
    for export in open_exports():
        try:
            ship(export)
        except ClientError as error:
            note_failure(export, error, final=not store.is_temporary(error))
        except (BotoCoreError, catalog.CatalogDown, TimeoutError) as error:
            note_failure(export, error, final=False)
        except Exception as error:
            note_failure(export, error, final=True)


def poll():
    while True:
        try:
            ship_pending()
        except Exception:
            logger.exception("the poll itself failed")
        time.sleep(config.POLL_SECONDS)
