"""python -m lohnbuero.schema [--demo]"""

import sys

from .model import Base, Declaration, Employer, Status
from .uow import new_session


def create():
    Base.metadata.create_all(new_session.kw["bind"])


def demo():
    with new_session.begin() as session:
        if session.get(Employer, 1):
            return
        session.add_all(
            [
                Employer(id=1, number="48110022", name="Bäckerei Lindner", clerk_email="r.lindner@example.org"),
                Employer(id=2, number="48110047", name="Tischlerei Vogt", clerk_email="s.vogt@example.org"),
            ]
        )
        session.flush()
        session.add_all(
            [
                Declaration(id=1, employer_id=1, period="2026-10", gross_cents=1834050),
                Declaration(
                    id=2,
                    employer_id=2,
                    period="2026-10",
                    gross_cents=921000,
                    status=Status.RELEASED,
                    transmission_no="LB-202610-000002",
                ),
                Declaration(
                    id=3,
                    employer_id=2,
                    period="2026-09",
                    gross_cents=918000,
                    status=Status.RELEASED,
                    transmission_no="LB-202609-000003",
                ),
            ]
        )


if __name__ == "__main__":
    create()
    if "--demo" in sys.argv:
        demo()
