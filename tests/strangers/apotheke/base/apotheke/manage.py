"""python -m apotheke.manage setup | demo | release CLAIM | dead"""
import sys

from apotheke import desk
from apotheke.db import engine, sessions
from apotheke.model import Base, Claim, DeadLetter


def setup() -> None:
    Base.metadata.create_all(engine())


def demo() -> None:
    setup()
    with sessions().begin() as session:
        for number, (branch, insured_no, pzn, cents) in enumerate(
            [
                ("Linden", "A123456780", "01126111", 1849),
                ("Linden", "M445120078", "03920416", 7230),
                ("Nordstadt", "T900318465", "07714232", 12995),
            ],
            1,
        ):
            if session.get(Claim, number) is None:
                session.add(
                    Claim(
                        id=number, branch=branch, insured_no=insured_no, pzn=pzn, amount_cents=cents,
                        submission_key=f"5c0a54f2-3c5f-4ad4-9f0e-00000000000{number}",
                    )
                )


def main(argv: list[str]) -> int:
    match argv:
        case ["setup"]:
            setup()
        case ["demo"]:
            demo()
        case ["release", number]:
            desk.release_claim(int(number))
        case ["dead"]:
            with sessions()() as session:
                for letter in session.query(DeadLetter).order_by(DeadLetter.id):
                    print(letter.key, letter.task, letter.reason, sep="\t")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
