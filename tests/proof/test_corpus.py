"""A small part of the corpus: `make proof-corpus` runs all of it and prints the table."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "corpus"))

import run

pytestmark = pytest.mark.real  # seconds each
NAMES = sorted(path.parent.name for path in run.HERE.glob("*/corpus.py"))
PROVED = ("celery_receipt", "huey_shipment")  # whole proofs: seconds each


def loaded(name: str) -> ModuleType:
    return run.load(name)


@pytest.mark.parametrize("name", PROVED)
def test_a_correct_handler_is_proved(name: str) -> None:
    found = run.try_one(name, loaded(name), None)
    assert found.right, f"{found.verdict}: {found.detail}"


@pytest.mark.parametrize("name", NAMES)
def test_a_mutant_is_refuted(name: str) -> None:
    module = loaded(name)
    mutant = next(made for made in module.MUTANTS if made.quick and made.keeps is None)
    found = run.try_one(name, module, mutant)
    assert found.right, f"{mutant.id} {mutant.what}: {found.verdict}: {found.detail}"


@pytest.mark.parametrize("name", NAMES)
def test_every_edit_of_the_corpus_fits(name: str, tmp_path: Path) -> None:
    module = loaded(name)
    for made in (*module.MUTANTS, *module.VARIANTS):
        run.build(name, made, tmp_path / made.id)


def test_the_corpus_is_as_large_as_it_must_be() -> None:
    """At least 120 mutants, 25 correct variants, 5 real bugs with their sources, in five kinds of
    framework.
    """
    modules = [loaded(name) for name in NAMES]
    mutants = [made for module in modules for made in module.MUTANTS if made.keeps is None]
    assert len(mutants) >= 120
    assert sum(len(module.VARIANTS) for module in modules) >= 25
    assert len({made.source for made in mutants if made.source}) >= 5
    assert len({module.DRIVER for module in modules}) >= 5
