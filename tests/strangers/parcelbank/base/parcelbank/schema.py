"""python -m parcelbank.schema [--demo]"""
import argparse

from parcelbank.models import Base, Payout
from parcelbank.uow import UnitOfWork, engine

DEMO = [
    ("PO-2026-0001", "CH9300762011623852957", 12_550),
    ("PO-2026-0002", "CH5604835012345678009", 8_000),
    ("PO-2026-0003", "DE89370400440532013000", 99_995),
]


def create(demo: bool = False) -> None:
    Base.metadata.create_all(engine())
    if demo:
        with UnitOfWork() as uow:
            for ref, iban, amount in DEMO:
                uow.session.merge(Payout(ref=ref, iban=iban, amount_minor=amount))
            uow.commit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--demo", action="store_true")
    create(**vars(parser.parse_args()))
