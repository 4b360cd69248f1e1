"""What the web side calls. Rows first, then the message; the sweep sends what was not sent."""
from loguru import logger

from meterhub import db, readings
from meterhub.jobs import archive_day, forecast_meter


def take_readings(meter_id, hours):
    readings.record(meter_id, hours)
    announce_meters(meter_id)


def close_day(area, day):
    with db.writing() as con:
        con.execute("insert into closed_days values (?, ?, 0) on conflict do nothing", (area, day))
    announce_days()


def announce_meters(meter_id=None):
    with db.reading() as con:
        pending = con.execute(
            "select meter_id, version from meters where version > announced and meter_id = coalesce(?, meter_id)",
            (meter_id,),
        ).fetchall()
    for meter, version in pending:
        forecast_meter.send(meter_id=meter, version=version)
        with db.writing() as con:
            con.execute(
                "update meters set announced = ?1 where meter_id = ?2 and announced < ?1", (version, meter)
            )
    return len(pending)


def announce_days():
    with db.reading() as con:
        pending = con.execute("select area, day from closed_days where announced = 0").fetchall()
    for area, day in pending:
        archive_day.send(area=area, day=day)
        with db.writing() as con:
            con.execute("update closed_days set announced = 1 where area = ? and day = ?", (area, day))
    return len(pending)


def announce_pending():
    logger.info("swept {} meters, {} days", announce_meters(), announce_days())


if __name__ == "__main__":
    announce_pending()
