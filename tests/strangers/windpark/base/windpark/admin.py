"""python -m windpark.admin init | demo | order PARK LIMIT_KW FROM TO | withdraw ID | dead"""
import argparse
import sys

from sqlalchemy import insert, select

from windpark import orders as desk
from windpark.tables import dead_orders, engine, metadata, orders


def init() -> None:
    metadata.create_all(engine())


def place(park: str, limit_kw: int, valid_from: int, valid_to: int, lead: int = 900) -> int:
    """A new order, sent a quarter of an hour ahead. Orders are never changed: withdraw and place anew."""
    row = dict(park=park, limit_kw=limit_kw, valid_from=valid_from, valid_to=valid_to, send_at=valid_from - lead)
    with engine().begin() as conn:
        return conn.execute(insert(orders).values(row)).inserted_primary_key[0]


def demo() -> None:
    init()
    with engine().begin() as conn:
        if conn.scalar(select(orders.c.id).limit(1)):
            return
    place("nordhang", 4200, 1_767_258_000, 1_767_265_200)
    place("nordhang", 9000, 1_767_265_200, 1_767_272_400)
    place("seeblick", 1500, 4_070_908_800, 4_070_912_400)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="windpark.admin")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init")
    commands.add_parser("demo")
    commands.add_parser("dead")
    order = commands.add_parser("order")
    order.add_argument("park")
    for name in ("limit_kw", "valid_from", "valid_to"):
        order.add_argument(name, type=int)
    commands.add_parser("withdraw").add_argument("order_id", type=int)
    args = parser.parse_args(argv)
    if args.command == "init":
        init()
    elif args.command == "demo":
        demo()
    elif args.command == "order":
        print(place(args.park, args.limit_kw, args.valid_from, args.valid_to))
    elif args.command == "withdraw":
        if not desk.withdraw(args.order_id):
            print("too late, call the operator", file=sys.stderr)
            return 1
    else:
        with engine().begin() as conn:
            for row in conn.execute(select(dead_orders).order_by(dead_orders.c.buried_at)):
                print(row.order_id, row.attempts, row.reason, sep="\t")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
