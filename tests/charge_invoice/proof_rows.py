"""What a proof of charge-invoice begins with: two customers, each with a draft."""

from billing.db import Session, create_all
from billing.models import Customer, Invoice


def main() -> None:
    create_all()
    with Session() as session, session.begin():
        for number, amount in ((1, 1200), (2, 4900)):
            email = f"customer{number}@example.com"
            customer = Customer(id=number, email=email, card_token=f"tok_{number}")
            session.add(customer)
            session.add(Invoice(id=number, customer=customer, amount_cents=amount))


if __name__ == "__main__":
    main()
