"""New tables in a package of models: a module of their own, shown where the package shows the
others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import store_cases
from store_kinds import CREATE

from skillrun.frameworks.pieces import Entry, Module
from skillrun.skills.job_worker.scaffold.fit import Fitting, no_style
from skillrun.skills.job_worker.scaffold.render import Renderer
from skillrun.skills.job_worker.scaffold.stores import sqlalchemy

MODEL = """
from sqlalchemy import Integer
from sqlalchemy.orm import Mapped, mapped_column

from shop.db import Base


class {name}(Base):
    __tablename__ = "{table}"
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
"""
DB = """
import os

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, sessionmaker

engine = create_engine(os.environ["SHOP_DB"])
Session = sessionmaker(engine)


class Base(DeclarativeBase):
    pass
"""
SHOWN = """
from shop.models.user import User
from shop.models.wallet import Coin, Wallet

__all__ = (
    "Coin",
    "User",
    "Wallet",
)
"""
FILES = {
    "shop/__init__.py": "",
    "shop/tasks.py": "",
    "shop/db.py": DB,
    "shop/models/__init__.py": SHOWN,
    "shop/models/user.py": MODEL.format(name="User", table="users"),
    "shop/models/wallet.py": MODEL.format(name="Wallet", table="wallets")
    + MODEL.format(name="Coin", table="coins").partition("Base\n")[2],
}
RELATIVE = "\nfrom .user import User\nfrom .wallet import Wallet\n"


def written(root: Path) -> dict[str, str]:
    """The files that differ once the store is written."""
    case = store_cases.case_of(root, store_cases.spec())
    store = store_cases.find(case)
    pieces = sqlalchemy.pieces(
        store_cases.facts_of(case, store), Renderer(store_cases.resource_folder())
    )
    fit = Fitting(case.tree, {"shop"}, no_style)
    for piece in pieces:
        assert isinstance(piece, Module | Entry)
        fit.add(piece)
    made = {change.path: change.after for change in fit.changes()}
    for path, text in made.items():
        (root / path).write_text(text)
    return made


@pytest.mark.parametrize(
    ("shown", "first", "last"),
    [
        (
            SHOWN,
            "from shop.models.receipt import DeadJob, Receipt\n",
            '    "Coin",\n    "DeadJob",\n    "Receipt",\n    "User",\n    "Wallet",\n)\n',
        ),
        pytest.param(
            RELATIVE,
            "from .receipt import DeadJob, Receipt\n",
            "from .wallet import Wallet\n",
            marks=pytest.mark.real,
        ),
    ],
)
def test_a_module_of_their_own(
    make_repo: Callable[..., Path], shown: str, first: str, last: str
) -> None:
    root = make_repo({**FILES, "shop/models/__init__.py": shown})
    made = written(root)
    assert sorted(made) == [
        "shop/models/__init__.py",
        "shop/models/receipt.py",
        "shop/send_receipt_store.py",
    ]
    assert first in made["shop/models/__init__.py"] and made["shop/models/__init__.py"].endswith(
        last
    )
    assert made["shop/models/receipt.py"].count("class ") == 2
    env = {"SHOP_DB": f"sqlite:///{root}/app.sqlite"}
    store_cases.python(root, CREATE.format(where="shop.db"), **env)
    use = "from shop.send_receipt_store import once\nwith once(7) as first: print(first)\n"
    assert store_cases.python(root, use * 2, **env).stdout.split() == ["True", "False"]


@pytest.mark.parametrize(
    "files",
    [
        {"shop/models/__init__.py": ""},  # which shows nothing
        {"shop/models/user.py": ""},  # one module holds all
    ],
)
def test_elsewhere_they_stand_beside_the_others(
    make_repo: Callable[..., Path], files: Mapping[str, str]
) -> None:
    made = written(make_repo({**FILES, **files}))
    assert sorted(made) == ["shop/models/wallet.py", "shop/send_receipt_store.py"]
