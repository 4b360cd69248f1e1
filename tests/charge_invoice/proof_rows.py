"""What a proof of charge-invoice begins with: a draft that is finalized, and an invoice that is open."""

from billing.db import Session, create_all
from billing.models import Customer, Invoice


def main() -> None:
    create_all()
    with Session() as session, session.begin():
        for number, amount, status in ((1, 1200, "draft"), (2, 4900, "open")):
            email = f"customer{number}@example.com"
            customer = Customer(id=number, email=email, card_token=f"tok_4f9aa71c03d{number}")
            session.add(customer)
            invoice = Invoice(id=number, customer=customer, amount_cents=amount, status=status)
            session.add(invoice)


if __name__ == "__main__":
    main()
