import os


def database():
    return os.environ.get("BUS_DATABASE", "/var/lib/busverkehr/counter.db")


def printer_url():
    return os.environ.get("BUS_PRINTER_URL", "https://orders.kartendruck.example/rest")


def printer_user():
    return os.environ.get("BUS_PRINTER_USER", "busverkehr")


def printer_password():
    return os.environ.get("BUS_PRINTER_PASSWORD", "")


BATCH = 200
TRIES = 6
FIRST_WAIT = 15 * 60
LONGEST_WAIT = 4 * 3600
# Kartendruck compares an order number with those of the last 14 days.
NUMBER_GOOD_FOR = 10 * 86400
HTTP_TIMEOUT = 30
