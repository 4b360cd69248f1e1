"""Creates the schema and the demo accounts: python -m treasury.bootstrap. Running it again changes nothing."""

from sqlalchemy.orm import Session

from treasury import settings, uow
from treasury.model import Account, Base, Transfer

DEBTOR = "DE89370400440532013000"
TRANSFERS = [
    (101, "E2E-2024-000101", "FR1420041010050500013M02606", 125_000),
    (102, "E2E-2024-000102", "NL91ABNA0417164300", 9_999),
    (103, "E2E-2024-000103", "AT611904300234573201", 1_250_050),
]


def create(dsn: str) -> None:
    engine = uow.engine(dsn)
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        if session.get(Account, DEBTOR) is None:
            session.add(Account(iban=DEBTOR, booked_cents=10_000_000))
            session.flush()
        for transfer_id, end_to_end_id, creditor, cents in TRANSFERS:
            if session.get(Transfer, transfer_id) is None:
                session.add(
                    Transfer(
                        id=transfer_id, end_to_end_id=end_to_end_id, debtor_iban=DEBTOR, creditor_iban=creditor,
                        amount_cents=cents,
                    )  # fmt: skip
                )


if __name__ == "__main__":
    create(settings.load().dsn)
