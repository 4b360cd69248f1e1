import re
from datetime import date

from loguru import logger

from meterhub import forecast, house, objects, readings


def is_meter(value):
    return isinstance(value, str) and re.fullmatch(r"M-[0-9]{4,8}", value) is not None


def is_version(value):
    return type(value) is int and value >= 1


def is_area(value):
    return isinstance(value, str) and re.fullmatch(r"[a-z]{2,20}", value) is not None


def is_day(value):
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


@house.job(house.fields(meter_id=is_meter, version=is_version), queue="forecasts")
def forecast_meter(meter_id, version):
    """Have the forecast of a meter made anew from its readings up to this version."""
    if readings.forecast_version(meter_id) >= version:
        logger.info("forecast of {} is as new as version {} already", meter_id, version)
        return
    series = readings.series(meter_id, version)
    if not series:
        raise house.BadMessage(f"no readings of {meter_id} up to version {version}")
    answer = forecast.order(meter_id, version, series, order_key=f"meterhub/{meter_id}/{version}")
    readings.keep_forecast(meter_id, version, answer)
    logger.info("forecast {} of {} is of version {}", answer["forecast_id"], meter_id, version)


@house.job(house.fields(area=is_area, day=is_day), queue="archive")
def archive_day(area, day):
    """Put the readings of a closed day into the object store. Closed means: they do not change any more."""
    if readings.archived(area, day):
        logger.info("{} {} is archived already", area, day)
        return
    rows = readings.day_rows(area, day)
    if not rows:
        raise house.BadMessage(f"no readings in {area} on {day}")
    key = f"readings/{area}/{day}.csv"
    body = "".join(f"{meter_id},{hour},{kwh:.3f}\n" for meter_id, hour, kwh, _ in rows).encode()
    objects.put_object(Key=key, Body=body)
    readings.keep_archive(area, day, max(row[3] for row in rows), key, len(body))
    logger.info("{} {} archived as {}, {} bytes", area, day, key, len(body))
