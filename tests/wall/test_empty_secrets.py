"""A client with an empty token sends nothing: both sides get one, and are compared."""

from __future__ import annotations

import sys
from pathlib import Path

import helpers
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "proof"))
import word_job

from skillrun.contract.spec import load_spec
from skillrun.proof.result import Target
from skillrun.repo.tree import Tree
from skillrun.wall.empty_secrets import PLAUSIBLE, give_secrets, list_secrets


def find(root: Path, text: str, path: str = "shop/settings.py") -> list[str]:
    return list(list_secrets(Tree(helpers.build_tree(root / "repo", {path: text}))))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('import os\nTOKEN = os.environ.get("SHOP_TOKEN", "")\n', ["SHOP_TOKEN"]),
        ('import os\nTOKEN = os.getenv("BANK_API_KEY")\n', ["BANK_API_KEY"]),
        ('TOKEN = env("MAILER_TOKEN", default="")\n', ["MAILER_TOKEN"]),
        ('import os\nTOKEN = os.environ["SHOP_TOKEN"]\n', ["SHOP_TOKEN"]),
        ('import os\nos.environ["SHOP_TOKEN"] = "1"\n', []),
        # The proof's own servers have none.
        ('PASSWORD = os.environ.get("REDIS_PASSWORD")\n', []),
        ('PASSWORD = env("SMTP_PASSWORD", default="")\n', []),
        ('token: str = _env("BANK_TOKEN", "")\n', ["BANK_TOKEN"]),
        # What has a value of its own works already, perhaps with that form alone.
        ('KEY = os.environ.get("SHOP_SECRET", "c2VjcmV0")\n', []),
        ('URL = os.environ.get("SHOP_URL", "")\n', []),
        ('MOST = os.environ.get("MAX_TOKENS", "")\n', []),
    ],
)
def test_secrets_that_nobody_gives(tmp_path: Path, text: str, found: list[str]) -> None:
    assert find(tmp_path, text) == found


def test_settings_of_pydantic(tmp_path: Path) -> None:
    text = """
        from pydantic_settings import BaseSettings, SettingsConfigDict

        class Settings(BaseSettings):
            model_config = SettingsConfigDict(env_prefix="SHOP_")
            carrier_token: str = ""
            api_key: SecretStr = SecretStr("")
            other_token: str = "given"
            url: str = ""
    """
    assert find(tmp_path, text) == ["SHOP_CARRIER_TOKEN", "SHOP_API_KEY"]


def test_tests_read_no_secret(tmp_path: Path) -> None:
    assert find(tmp_path, 'TOKEN = os.environ["A_TOKEN"]\n', "tests/test_a.py") == []


def test_what_the_spec_gives_stays(tmp_path: Path) -> None:
    reads = 'import os\nA = os.getenv("A_TOKEN")\nB = os.getenv("B_TOKEN")\n'
    given = '{B_TOKEN: "own", C_TOKEN: "", STORE_DB'
    spec = word_job.FILES[word_job.SPEC].replace("{STORE_DB", given)
    files = {**word_job.FILES, word_job.SPEC: spec, "store/settings.py": reads}
    repo = helpers.build_tree(tmp_path / "repo", files)
    target = give_secrets(Target(load_spec(repo / word_job.SPEC), repo, "celery"))
    assert target.spec.proof is not None
    env = target.spec.proof.env
    assert (env["A_TOKEN"], env["B_TOKEN"], env["C_TOKEN"]) == (PLAUSIBLE, "own", PLAUSIBLE)
