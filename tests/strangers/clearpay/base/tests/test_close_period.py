from sqlalchemy import select

from clearpay import clock
from clearpay.models import PayslipLine, Period, Session
from clearpay.tasks import close_period


def test_closes_and_opens_the_next():
    close_period.apply()
    close_period.apply()
    with Session() as db:
        periods = db.scalars(select(Period).order_by(Period.starts_on)).all()
        assert [p.status for p in periods] == ["closed", "open"]
        assert periods[1].starts_on <= clock.today() <= periods[1].ends_on
        assert [(line.employee_id, line.expenses_cents) for line in db.scalars(select(PayslipLine))] == [(1, 4500)]
