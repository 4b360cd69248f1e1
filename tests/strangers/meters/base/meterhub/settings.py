from os import environ


def database():
    return environ.get("METER_DB", "meters.sqlite3")


def broker():
    return environ.get("METER_BROKER", "redis://127.0.0.1:6379/1")


def bucket():
    return environ.get("METER_BUCKET", "meter-archive")


def forecast_url():
    return environ.get("FORECAST_URL", "https://forecast.example.net/v1")


def objects_url():
    return environ.get("OBJECTS_URL") or None
