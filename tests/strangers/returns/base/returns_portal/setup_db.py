"""Creates the tables: `python -m returns_portal.setup_db [--sample]`."""

from __future__ import annotations

import sys

from returns_portal.db import engine, transaction
from returns_portal.models import Base, Return

SAMPLE = [
    (501, "SO-88120", "Mara Lind", "mara@example.com", 1200),
    (502, "SO-88131", "Theo Brand", "theo@example.com", 450),
    (503, "SO-88131", "Theo Brand", "theo@example.com", 3100),
]


def main(sample: bool) -> None:
    Base.metadata.create_all(engine())
    if not sample:
        return
    with transaction() as session:
        for number, order_no, name, email, weight in SAMPLE:
            if session.get(Return, number) is None:
                session.add(
                    Return(
                        id=number, order_no=order_no, customer_name=name, customer_email=email, weight_grams=weight
                    )
                )


if __name__ == "__main__":
    main("--sample" in sys.argv[1:])
