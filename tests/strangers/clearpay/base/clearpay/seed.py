"""python -m clearpay.seed: the schema, and something to look at."""
from datetime import timedelta

from . import clock
from .models import Base, Claim, Employee, Posting, Session, engine
from .periods import demo_period


def main():
    Base.metadata.create_all(engine)
    with Session.begin() as db:
        if db.get(Employee, 1):
            return
        db.add_all(
            [
                Employee(id=1, name="Ana Keller", iban="CH9300762011623852957"),
                Employee(id=2, name="Luc Favre", iban="CH5604835012345678009"),
            ]
        )
        db.flush()
        db.add_all(
            [
                Claim(id=1, employee_id=1, amount_cents=12450),
                Claim(id=2, employee_id=2, amount_cents=8990),
                Claim(id=3, employee_id=1, amount_cents=3000, status="paid"),
                Claim(id=4, employee_id=1, amount_cents=1500, status="paid"),
                demo_period(),
            ]
        )
        db.flush()
        booked = clock.today().replace(day=1) - timedelta(days=5)
        db.add_all(
            [
                Posting(claim_id=3, employee_id=1, amount_cents=3000, booked_on=booked),
                Posting(claim_id=4, employee_id=1, amount_cents=1500, booked_on=booked),
            ]
        )


if __name__ == "__main__":
    main()
