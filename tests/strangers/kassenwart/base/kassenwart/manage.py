"""python -m kassenwart.manage init | demo | debit YYYY-MM | dead"""
import argparse
import logging
import sys

from kassenwart import debits, dues
from kassenwart.models import TABLES, DeadDebit, Member, database


def init():
    with database.connection_context():
        database.create_tables(TABLES)


def demo():
    init()
    with database.connection_context():
        if Member.select().exists():
            return
        Member.create(name="Jutta Brandt", iban="DE02120300000000202051", mandate="M-0001", fee_cents=1800)
        Member.create(name="Emre Yilmaz", iban="DE02500105170137075030", mandate="M-0002", fee_cents=900)
        Member.create(name="Ole Petersen", iban="DE88100900001234567892", mandate="M-0003", fee_cents=1800)


def month(text):
    if not debits.well_formed({"member_id": 1, "month": text}):
        raise argparse.ArgumentTypeError("a month is YYYY-MM")
    return text


def main(argv=None):
    parser = argparse.ArgumentParser(prog="kassenwart.manage")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("init", "demo", "dead"):
        commands.add_parser(name)
    commands.add_parser("debit").add_argument("month", type=month)
    args = parser.parse_args(argv)
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if args.command == "init":
        init()
    elif args.command == "demo":
        demo()
    elif args.command == "debit":
        print("%s members" % dues.request_month(args.month))
    else:
        with database.connection_context():
            for dead in DeadDebit.select().order_by(DeadDebit.died_at):
                print("%s\t%s\t%s" % (dead.died_at, dead.key, dead.reason))


if __name__ == "__main__":
    sys.exit(main())
