import argparse

from backoffice.adapters import orm
from backoffice.config import Settings
from backoffice.service import release
from backoffice.service.unit_of_work import UnitOfWork


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="backoffice")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("setup", help="create the tables and two demo claims")
    commands.add_parser("relay", help="publish what is left in the outbox")
    commands.add_parser("dead", help="list the dead messages")
    one = commands.add_parser("release", help="release an instalment for payment")
    one.add_argument("claim_no")
    one.add_argument("instalment", type=int)
    args = parser.parse_args(argv)

    if args.command == "setup":
        orm.mapper.metadata.create_all(orm.make_engine(Settings.from_env().db_url))
        release.seed_demo()
    elif args.command == "relay":
        release.publish_pending()
    elif args.command == "release":
        release.release(args.claim_no, args.instalment)
    else:
        with UnitOfWork() as uow:
            for letter in uow.dead_letters.all():
                print(letter.died_at, letter.actor, letter.payload, letter.error)


if __name__ == "__main__":
    main()
