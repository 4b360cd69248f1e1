"""python -m klinikum.database [--demo]"""
import os
import sys
from functools import cache

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool

from .tables import Base, Consent, Patient, Result, Transmission


@cache
def _factory(url: str) -> sessionmaker[Session]:
    # hide_parameters: they would carry patients into tracebacks.
    return sessionmaker(create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"timeout": 10}))


def transaction():
    return _factory(os.environ.get("KLINIKUM_DATABASE_URL", "sqlite:///klinikum.db")).begin()


def create(demo: bool = False) -> None:
    with transaction() as session:
        Base.metadata.create_all(session.connection())
        if not demo or session.get(Patient, 1):
            return
        for number, name in enumerate(["Berta Beispiel", "Max Muster", "Erika Exempel"], 1):
            session.add(Patient(id=number, name=name, born=f"196{number}-04-0{number}"))
            session.flush()
            session.add(Consent(patient_id=number, state="given"))
            session.add(Result(id=number, patient_id=number, practice=f"GP-{number}", code="718-7", value=f"13.{number}"))
        session.flush()
        session.add(Transmission(result_id=2, control_id="KLI-00000002"))
        session.add(Transmission(result_id=3, control_id="KLI-00000003"))


if __name__ == "__main__":
    create("--demo" in sys.argv)
