"""What is kept of meters, their readings and forecasts."""
import json

from meterhub import db


def record(meter_id, hours):
    """Take readings in; the meter's version goes up if any of them is news."""
    with db.writing() as con:
        row = con.execute("select version from meters where meter_id = ?", (meter_id,)).fetchone()
        if row is None:
            raise LookupError(f"no meter {meter_id}")
        version = row[0] + 1
        changed = con.executemany(
            "insert into readings values (?, ?, ?, ?) on conflict (meter_id, hour) do update"
            " set kwh = excluded.kwh, version = excluded.version where readings.kwh <> excluded.kwh",
            [(meter_id, hour, kwh, version) for hour, kwh in sorted(hours.items())],
        ).rowcount
        if changed > 0:
            con.execute("update meters set version = ? where meter_id = ?", (version, meter_id))
            return version
        return row[0]


def series(meter_id, version):
    with db.reading() as con:
        return con.execute(
            "select hour, kwh from readings where meter_id = ? and version <= ? order by hour", (meter_id, version)
        ).fetchall()


def forecast_version(meter_id):
    with db.reading() as con:
        row = con.execute("select version from forecasts where meter_id = ?", (meter_id,)).fetchone()
    return row[0] if row else 0


def keep_forecast(meter_id, version, answer):
    """The higher version wins, in whatever order the answers come."""
    with db.writing() as con:
        con.execute(
            "insert into forecasts values (?, ?, ?, ?) on conflict (meter_id) do update"
            " set version = excluded.version, forecast_id = excluded.forecast_id, kwh = excluded.kwh"
            " where excluded.version > forecasts.version",
            (meter_id, version, answer["forecast_id"], json.dumps(answer["kwh"])),
        )


def day_rows(area, day):
    with db.reading() as con:
        return con.execute(
            "select meter_id, hour, kwh, r.version from readings r join meters m using (meter_id)"
            " where m.area = ? and hour like ? order by 1, 2",
            (area, f"{day}T%"),
        ).fetchall()


def archived(area, day):
    with db.reading() as con:
        return con.execute("select key from archives where area = ? and day = ?", (area, day)).fetchone()


def keep_archive(area, day, version, key, size):
    with db.writing() as con:
        con.execute(
            "insert into archives values (?, ?, ?, ?, ?) on conflict (area, day) do update"
            " set version = excluded.version, key = excluded.key, bytes = excluded.bytes"
            " where excluded.version > archives.version",
            (area, day, version, key, size),
        )
