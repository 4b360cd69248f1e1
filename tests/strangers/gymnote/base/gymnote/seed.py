"""python -m gymnote.seed: the tables, and three members who owe their dues."""

from gymnote.db import Base, Invoice, Member, Session, engine


def main():
    Base.metadata.create_all(engine)
    with Session.begin() as session:
        if session.get(Member, 1) is None:
            for number, name in enumerate(("Ines", "Jonas", "Kim"), 1):
                member = Member(id=number, name=name, email=f"{name.lower()}@example.org", card_token=f"card_{number}")
                session.add(Invoice(id=number, member=member, month="2025-01", cents=2990))


if __name__ == "__main__":
    main()
