"""python -m spedition.cli init | demo | dead | revive ID"""

import sys

from sqlalchemy import select

from spedition import outbox
from spedition.db import Base, OutboxRow, engine, transaction
from spedition.orders import place_order


def init():
    Base.metadata.create_all(engine())


def demo():
    init()
    place_order("2026-0411", "Fjordkraft AS", "NO", [{"hs": "850300", "kg": 1240}])
    place_order("2026-0412", "Säntis Apparatebau AG", "CH", [{"hs": "841330", "kg": 88}])


def dead():
    with transaction() as session:
        rows = session.execute(
            select(OutboxRow.id, OutboxRow.declaration_id, OutboxRow.attempts, OutboxRow.last_error)
            .where(OutboxRow.status == "dead")
            .order_by(OutboxRow.id)
        )
        for row in rows:
            print(*row, sep="\t")


def main(argv):
    match argv:
        case ["init"]:
            init()
        case ["demo"]:
            demo()
        case ["dead"]:
            dead()
        case ["revive", number]:
            if not outbox.revive(int(number)):
                return f"{number} is not dead"
        case _:
            return __doc__
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
