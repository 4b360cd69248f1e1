"""python -m opernhaus.install [--demo]"""
import sys

from . import house
from .models import Booking, db

DEMO = [
    dict(no="OH-1001", performance="Rusalka, 14 March", allocation="AL-77-12", voucher_no="G-2027-001001",
         amount_cents=15800, iban="DE02120300000000202051"),
    dict(no="OH-1002", performance="Rusalka, 14 March", allocation="AL-77-13", voucher_no="G-2027-001002",
         amount_cents=7900, iban="DE02500105170137075030"),
    dict(no="OH-1003", performance="Rusalka, 14 March", allocation="AL-77-20", voucher_no="G-2027-001003",
         amount_cents=3200, iban="DE02100500000054540402"),
]


def install(demo=False):
    with house():
        db.create_all()
        if demo:
            for row in DEMO:
                if db.session.get(Booking, row["no"]) is None:
                    db.session.add(Booking(**row))
            db.session.commit()


if __name__ == "__main__":
    install("--demo" in sys.argv[1:])
