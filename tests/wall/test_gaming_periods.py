"""How often a clock starts a sweep, and whether the loop that starts it goes on."""

from __future__ import annotations

import pytest
import yaml
from looks import SPEC, SPEC_TEXT, found

from skillrun.wall.gaming.periods import measure_gap

_SPEC = {**yaml.safe_load(SPEC_TEXT), "recovers": [{"call": "shop.sweeps:chase", "every": "1h"}]}
TASK = "'task': 'shop.tasks.chase'"
BEAT = f"SCHEDULE = {{'chase': {{{TASK}, 'schedule': crontab(minute='30')}}}}\n"
COMPOSE = (
    "services:\n  chase:\n    command: sh -c 'while sleep 600; do python -m shop.sweeps; done'\n"
)
HUEY = "@huey.periodic_task(crontab(minute='*/10'))\ndef chase():\n    pass\n"


def looked(path: str, old: str, new: str) -> list[str]:
    """The severities of what a look at workers finds."""
    spec = {SPEC: yaml.safe_dump(_SPEC)}
    return [
        str(one.severity)
        for one in found("weaker-worker", {**spec, path: old}, {**spec, path: new})
    ]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("shop/beat.py", BEAT, BEAT.replace("minute='30'", "minute='30', day_of_month='1'")),
        ("shop/beat.py", BEAT, BEAT.replace("crontab(minute='30')", "timedelta(hours=6)")),
        ("shop/beat.py", BEAT, BEAT.replace("crontab(minute='30')", "86400.0")),
        ("shop/jobs.py", HUEY, HUEY.replace("minute='*/10'", "minute='0', hour='3'")),
        (
            "deploy/crontab",
            "*/10 * * * * python -m shop.sweeps\n",
            "*/10 8-18 * * mon-fri python -m shop.sweeps\n",
        ),
        ("compose.yaml", COMPOSE, COMPOSE.replace("sleep 600", "sleep 6h")),
        ("compose.yaml", COMPOSE, COMPOSE.replace("sh -c", "sh -ec")),
        ("compose.yaml", COMPOSE, COMPOSE.replace("shop.sweeps;", "shop.sweeps || exit 1;")),
    ],
)
def test_a_sweep_that_comes_more_seldom_is_an_error(path: str, old: str, new: str) -> None:
    assert looked(path, old, new) == ["error"]


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        # As often as the spec says, or as the base did.
        ("shop/beat.py", BEAT, BEAT.replace("minute='30'", "minute='*/5'")),
        ("shop/beat.py", BEAT, BEAT.replace("crontab(minute='30')", "timedelta(minutes=60)")),
        ("shop/jobs.py", HUEY, HUEY.replace("*/10", "*/30")),
        (
            "shop/jobs.py",
            HUEY.replace("'*/10'", "'0', hour='3'"),
            HUEY.replace("'*/10'", "'9', hour='3'"),
        ),
        # Another one is added, and this one is left as it is.
        (
            "shop/beat.py",
            BEAT,
            f"{BEAT}OTHER = {{'task': 'shop.tasks.chase', 'schedule': 86400}}\n",
        ),
        ("compose.yaml", COMPOSE, COMPOSE.replace("sleep 600", "sleep 3600")),
        ("compose.yaml", COMPOSE, COMPOSE.replace("sh -c", "sh -ec") + "    restart: always\n"),
        ("compose.yaml", COMPOSE, COMPOSE.replace("shop.sweeps;", "shop.sweeps || true;")),
        # What cannot be read says nothing.
        ("shop/beat.py", BEAT, BEAT.replace("'30'", "MINUTE")),
    ],
)
def test_one_that_comes_as_often_is_none(path: str, old: str, new: str) -> None:
    assert looked(path, old, new) == []


@pytest.mark.real
@pytest.mark.parametrize("odd", ["x-day: 2020-99-99\n", f"x-deep: {'[' * 50_000}\n", "x: @\n"])
def test_a_file_of_services_that_no_reader_takes_ends_nothing(odd: str) -> None:
    assert looked("compose.yaml", COMPOSE, COMPOSE.replace("sh -c", "sh -ec") + odd) == []


CHASING = (
    "from shop import sweeps\n\n\n@app.task(name='shop.again')\ndef again():\n    sweeps.chase()\n"
)
SWEEPS = "def chase():\n    pass\n"


def test_a_task_that_calls_the_sweep_stands_for_it() -> None:
    beat = "SCHEDULE = {'again': {'task': 'shop.again', 'schedule': 30 * 60}}\n"
    rest = {SPEC: yaml.safe_dump(_SPEC), "shop/sweeps.py": SWEEPS, "shop/tasks.py": CHASING}
    rest["shop/__init__.py"] = ""
    rarer = beat.replace("30 * 60", "crontab(minute='*/30', hour='7-18', day_of_week='mon-fri')")
    for new, severities in ((rarer, ["error"]), (beat.replace("30", "20"), [])):
        seen = found("weaker-worker", {**rest, "shop/beat.py": beat}, {**rest, "shop/beat.py": new})
        assert [str(one.severity) for one in seen] == severities


SETTINGS = "import os\n\nEVERY = int(os.environ.get('CHASE_EVERY', '{every}'))\n"
BY_SETTING = "from shop import config\n\n@huey.periodic_task(crontab(minute={minute}))\ndef chase():\n    pass\n"


@pytest.mark.real
@pytest.mark.parametrize(
    ("minute", "every", "severities"),
    [
        # At minute 10 of each hour, and of each third one.
        ("config.EVERY", "10", []),
        ("config.EVERY, hour='*/3'", "10", ["error"]),
        ("config.EVERY", "10-20/10", []),
        ("config.UNKNOWN, hour='*/3'", "10", []),
    ],
)
def test_a_setting_says_how_often(minute: str, every: str, severities: list[str]) -> None:
    rest = {SPEC: yaml.safe_dump(_SPEC)}
    settings = SETTINGS.format(every=every) if every.isdigit() else f"EVERY = '{every}'\n"
    after = {"shop/config.py": settings, "shop/jobs.py": BY_SETTING.format(minute=minute)}
    seen = found("weaker-worker", {**rest, "shop/jobs.py": HUEY}, {**rest, **after})
    assert [str(one.severity) for one in seen] == severities


NAMED_BEAT = (
    f"from shop import config\n\nSCHEDULE = {{'chase': {{{TASK}, 'schedule': config.EVERY}}}}\n"
)


@pytest.mark.parametrize(
    ("rest", "severities"),
    [
        ({}, ["error"]),
        # What tests and other modules call so is something else.
        ({"tests/conftest.py": "EVERY = 1\n", "shop/mail.py": "EVERY = 7\n"}, ["error"]),
        ({"shop/beat.py": BEAT}, []),
    ],
)
def test_a_setting_alone_makes_it_rarer(rest: dict[str, str], severities: list[str]) -> None:
    rest = {SPEC: yaml.safe_dump(_SPEC), "shop/__init__.py": "", "shop/beat.py": NAMED_BEAT, **rest}
    old, new = {"shop/config.py": "EVERY = 900\n"}, {"shop/config.py": "EVERY = 864000\n"}
    seen = found("weaker-worker", {**rest, **old}, {**rest, **new})
    assert [str(one.severity) for one in seen] == severities


def test_a_name_that_leads_nowhere_has_the_value_that_all_modules_give_it() -> None:
    beat = NAMED_BEAT.replace(
        "from shop import config", "from django.conf import settings as config"
    )
    rest = {SPEC: yaml.safe_dump(_SPEC), "shop/__init__.py": "", "shop/beat.py": beat}
    for more, severities in (({}, ["error"]), ({"shop/mail.py": "EVERY = 7\n"}, [])):
        old = {**rest, **more, "shop/config.py": "EVERY = 900\n"}
        new = {**old, "shop/config.py": "EVERY = 864000\n"}
        assert [str(one.severity) for one in found("weaker-worker", old, new)] == severities


@pytest.mark.parametrize("call", ["chase(BATCH)", "run(sweeps.chase, BATCH)", "sweeps.chase({})"])
def test_a_larger_batch_is_no_rarer_sweep(call: str) -> None:
    text = f"from shop import sweeps\n\nBATCH = {{}}\n\ndef work():\n    {call}\n"
    assert looked("shop/work.py", text.format(100, 100), text.format(5000, 5000)) == []


@pytest.mark.parametrize(
    ("fields", "hours"),
    [
        ("*/10 * * * *", 1 / 6),
        ("30 * * * *", 1),
        ("0 3 * * *", 24),
        ("0 3 * * mon", 168),
        ("0 3 * * 0", 168),
        ("0 3 * * 7", 168),
        ("0 0 1 * *", 31 * 24),
        ("0 9-17 * * *", 16),
    ],
)
def test_the_longest_gap_of_a_cron(fields: str, hours: float) -> None:
    assert measure_gap(fields.split()) == hours * 3_600


def test_a_field_that_is_none_has_no_gap() -> None:
    assert measure_gap(["x", "*", "*", "*", "*"]) is None
