"""Daily CSV exports: asking for one, and what is in it."""
import csv
import io
import re

from . import db


def request_export(source, day):
    """One export per source and day; asking again is harmless."""
    if not source or not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
        raise ValueError(f"no such export: {source!r}, {day!r}")
    with db.writing() as conn:
        conn.execute("insert into exports (source, day) values (?, ?) on conflict do nothing", [source, day])


def object_key(export):
    return f"export/{export['source']}/{export['day']}.csv"


def as_csv(export):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["sensor", "at", "value"])
    with db.reading() as conn:
        writer.writerows(
            tuple(row) for row in conn.execute(
                "select sensor, at, value from readings where source = ? and substr(at, 1, 10) = ? order by at, sensor",
                [export["source"], export["day"]],
            )
        )
    return out.getvalue().encode()
