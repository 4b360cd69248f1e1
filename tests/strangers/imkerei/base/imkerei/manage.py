import sys
from datetime import date, timedelta

from imkerei.models import TABLES, Order, database

DEMO = [
    dict(id=1, customer="Frau Okoro", email="okoro@example.org", amount_cents=2380, age=9),
    dict(id=2, customer="Herr Lang", email="lang@example.org", amount_cents=5400, age=12),
    dict(id=3, customer="Hofladen Weiss", email="weiss@example.org", amount_cents=18900, age=10),
]


def main(words):
    database.create_tables(TABLES)
    if "demo" in words:
        for row in DEMO:
            age = timedelta(days=row["age"])
            Order.insert(
                **{name: value for name, value in row.items() if name != "age"}, placed_on=date.today() - age
            ).on_conflict_ignore().execute()
    database.close()


if __name__ == "__main__":
    main(sys.argv[1:])
