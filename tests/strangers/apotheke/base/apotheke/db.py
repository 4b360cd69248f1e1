from functools import lru_cache

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from apotheke import config


@lru_cache(maxsize=1)
def engine():
    return create_engine(config.DATABASE_URL, connect_args={"timeout": 20}, hide_parameters=True)


@lru_cache(maxsize=1)
def sessions() -> sessionmaker[Session]:
    return sessionmaker(engine(), expire_on_commit=False)
