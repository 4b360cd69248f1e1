"""python -m zeltverleih.admin tables | demo | dead | again REFUND"""
import sys

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from . import counter
from .tables import dead_letters, engine, metadata, rentals

DEMO = [
    {"id": 1, "tent": "Hilleberg 3", "customer_email": "a@example.org", "deposit_cents": 15000, "charge_id": "ch_101"},
    {"id": 2, "tent": "Tipi 6", "customer_email": "b@example.org", "deposit_cents": 30000, "charge_id": "ch_102"},
]


def main(command, *args):
    if command in ("tables", "demo"):
        metadata.create_all(engine())
    if command == "demo":
        with engine().begin() as conn:
            conn.execute(insert(rentals).on_conflict_do_nothing(), DEMO)
    if command == "dead":
        with engine().connect() as conn:
            for letter in conn.execute(select(dead_letters).order_by(dead_letters.c.at)):
                print(letter.refund, letter.tries, letter.reason)
    if command == "again":
        print("due again" if counter.once_more(int(args[0])) else "no, look at the provider's dashboard")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("tables", "demo", "dead", "again"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
