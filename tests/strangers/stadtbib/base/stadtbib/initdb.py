"""python -m stadtbib.initdb [--demo]"""
import datetime as dt
import sys

from .db import Base, Loan, Patron, Session, engine


def main(argv):
    Base.metadata.create_all(engine)
    if "--demo" in argv:
        with Session.begin() as s:
            s.add_all([
                Patron(id=1, name="Ida Brand", email="ida@example.org"),
                Patron(id=2, name="Okan Demir", email="okan@example.org"),
            ])
            s.flush()
            s.add_all([
                Loan(id=1, patron_id=1, title="Der Zauberberg", due_on=dt.date(2026, 10, 1)),
                Loan(id=2, patron_id=2, title="Momo", due_on=dt.date(2026, 10, 8)),
                Loan(id=3, patron_id=2, title="Krabat", due_on=dt.date(2026, 10, 8),
                     returned_on=dt.date(2026, 10, 20)),
            ])


if __name__ == "__main__":
    main(sys.argv[1:])
