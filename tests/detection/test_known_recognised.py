"""Libraries that are only recognised: each is found in an application, and ignored wherever it is
no use.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import helpers
import pytest
from known_cases import CASES, Case

from skillrun.frameworks.registry import FRAMEWORKS, RECOGNISED_ONLY, recognisers
from skillrun.repo.survey import Survey, survey_tree
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

NAMES = [f"{case.id} {case.name}".strip() for case in CASES]
ASIDE = ("tests", "examples", "docs", "node_modules/x", "vendor/x", "demo", "{{cookiecutter.name}}")


def surveyed(root: Path, files: dict[str, str]) -> Survey:
    return survey_tree(Tree(helpers.build_tree(root, files)), recognisers())


def use_in(root: Path, files: dict[str, str], name: str) -> FrameworkUse | None:
    return surveyed(root, files).use(name)


def check_ignores(root: Path, files: dict[str, str]) -> None:
    """No library is in use."""
    assert [use.id for use in surveyed(root, files).frameworks] == []


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_finds(tmp_path: Path, case: Case) -> None:
    found = surveyed(tmp_path, case.manifest | case.code)
    assert [use.id for use in found.frameworks] == [case.id]
    use = found.frameworks[0]
    assert (found.primary, use.app, use.task_modules) == (case.id, case.app, case.tasks)
    assert use.evidence and all(place.line >= 1 for place in use.evidence)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_ignores_what_is_only_declared(tmp_path: Path, case: Case) -> None:
    check_ignores(tmp_path, case.manifest)


@pytest.mark.parametrize("folder", ASIDE)
@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_ignores_what_lies_aside(tmp_path: Path, case: Case, folder: str) -> None:
    check_ignores(
        tmp_path, case.manifest | {f"{folder}/{path}": text for path, text in case.code.items()}
    )


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_ignores_comments(tmp_path: Path, case: Case) -> None:
    """The same code with each line commented out, in the comments of each language."""
    signs = {"py": "#", "rb": "#", "ex": "#", "exs": "#", "yml": "#", "properties": "#"}
    code = {
        path: "".join(
            f"{signs.get(path.rpartition('.')[2], '//')} {line}\n" for line in text.splitlines()
        )
        for path, text in case.code.items()
        if not path.endswith(
            (".php", ".properties", "queue.yml", "trigger.config.ts")
        )  # a place is no code
    }
    check_ignores(tmp_path, case.manifest | code)


def test_every_library_has_a_case() -> None:
    # By the same recogniser.
    read = {"arq", "django-q2", "django-tasks", "procrastinate", "saq", "taskiq"}
    assert {case.id for case in CASES} == (RECOGNISED_ONLY.keys() - FRAMEWORKS.keys()) | read


IGNORED = {
    "a relative import is not the library": {"shop/a.py": "from .arq import cron\nx = cron(1)\n"},
    "Ruby's puma plug-in": {
        "Gemfile": 'gem "solid_queue"\n',
        "config/puma.rb": "plugin :solid_queue if ENV['X']\n",
    },
    "an adapter for tests": {
        "Gemfile": 'gem "sidekiq"\n',
        "config/environments/test.rb": "config.active_job.queue_adapter = :sidekiq\n",
    },
    "a gem that instruments Sidekiq": {
        "Gemfile": 'gemspec\ngem "sidekiq"\n',
        "x.gemspec": 'Gem::Specification.new { |s| s.add_dependency "sidekiq" }\n',
        "lib/x/railtie.rb": "Sidekiq.configure_server { |c| c }\n",
    },
    "an instrumentation with a development dependency": {
        "package.json": '{"devDependencies": {"bullmq": "^5"}}',
        "src/instrumentation/bullmq.ts": 'import { Queue } from "bullmq";\nnew Queue("x");\n',
    },
    "an indirect Go module": {
        "go.mod": "module x\n\nrequire github.com/hibiken/asynq v0.1 // indirect\n"
    },
    "a Spring application without a schedule": {
        "pom.xml": (
            "<project><parent><groupId>org.springframework.boot</groupId></parent></project>"
        ),
        "src/main/java/App.java": (
            "import org.springframework.boot.SpringApplication;\nclass App { }\n"
        ),
    },
    "Laravel's own files": {
        "composer.json": '{"require": {"laravel/framework": "^10"}}',
        "config/queue.php": "<?php return [];\n",
    },
    "a web worker": {"package.json": "{}", "src/a.js": 'const w = new Worker("x.js");\n'},
    "another IJob": {
        "A.csproj": "<Project />",
        "A.cs": "using Mine;\nclass A : IJob { } // Quartz\n",
    },
    "processes that compute, outside a web application": {
        "requirements.txt": "numpy\n",
        "a.py": "from multiprocessing import Process, Queue\nclass A(Process): ...\n",
    },
    "a development dependency of a manifest is no start": {
        "package.json": '{"devDependencies": {\n"graphile-worker": "^0.16"\n}}',
        "src/plugins/jobs.ts": (
            'import { quickAddJob } from "graphile-worker";\nquickAddJob({}, "x");\n'
        ),
    },
    "a ticker that flushes": {
        "go.mod": "module x\n",
        "log/log.go": "package log\nvar t = time.NewTicker(x)\n",
    },
    "an interval of a page": {"package.json": "{}", "src/clock.js": "setInterval(f, 1000);\n"},
    "a dropped dependency in a migration": {
        "requirements.txt": "django\n",
        "shop/migrations/0002_drop.py": "sql = 'drop table django_q_task'\n",
    },
}


@pytest.mark.parametrize("name", IGNORED)
def test_ignores(tmp_path: Path, name: str) -> None:
    check_ignores(tmp_path, IGNORED[name])


TIMERS = {
    "setInterval": {"package.json": "{}", "server/cron.js": "setInterval(f, 30_000);\n"},
    "time.Ticker": {
        "go.mod": "module x\n",
        "pkg/syncers/a/a.go": "package a\nfunc R() { t := time.NewTicker(d) }\n",
    },
    "robfig/cron": {
        "go.mod": "module x\n\nrequire github.com/robfig/cron/v3 v3.0.0\n",
        "clock/clock.go": (
            'package clock\nimport "github.com/robfig/cron/v3"\nfunc R() { c := cron.New() }\n'
        ),
    },
    "quantum": {
        "mix.exs": 'defmodule X do\n  defp deps, do: [{:quantum, "~> 3"}]\nend\n',
        "lib/clock.ex": "defmodule Clock do\n  use Quantum, otp_app: :x\nend\n",
    },
}


@pytest.mark.parametrize("name", TIMERS)
def test_timers_in_the_process_are_plain_cron(tmp_path: Path, name: str) -> None:
    use = use_in(tmp_path, TIMERS[name], "plain-cron")
    assert use is not None and use.scheduler == name


def test_home_made_gives_way_to_a_library(tmp_path: Path) -> None:
    by_id = {case.id: case for case in CASES}
    files = by_id["custom-queue"].code | by_id["arq"].code | {"requirements.txt": "django\narq\n"}
    assert [use.id for use in surveyed(tmp_path, files).frameworks] == ["arq"]


def test_two_libraries_in_use_are_both_found(tmp_path: Path) -> None:
    by_id = {case.id: case for case in CASES}
    files = by_id["bull"].code | by_id["nestjs-schedule"].code
    files |= {"package.json": '{"dependencies": {"bull": "1", "@nestjs/schedule": "1"}}'}
    found = surveyed(tmp_path, files)
    assert {use.id for use in found.frameworks} == {"bull", "nestjs-schedule"}


def test_a_redis_client_alone_says_nothing_of_the_queue(tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.id == "laravel-queue")
    composer = {"composer.json": '{"require": {"laravel/framework": "^11", "predis/predis": "^2"}}'}
    use = use_in(tmp_path / "horizon", composer | case.code, "laravel-queue")
    assert use is not None and use.broker == "redis"
    plain = {
        "config/queue.php" if path == "config/horizon.php" else path: text
        for path, text in case.code.items()
    }
    use = use_in(tmp_path / "plain", composer | plain, "laravel-queue")
    assert use is not None and (use.app, use.broker) == ("config/queue.php", None)


def test_recurring_jobs_of_hangfires_manager_are_a_schedule(tmp_path: Path) -> None:
    by_name = {case.name: case for case in CASES if case.id == "hangfire"}
    for name, expected in (("by its manager", "hangfire"), ("", None)):
        use = use_in(tmp_path / f"r{name}", by_name[name].manifest | by_name[name].code, "hangfire")
        assert use is not None and use.scheduler == expected


def test_of_two_alike_the_queue_comes_before_the_scheduler(tmp_path: Path) -> None:
    by_id = {case.id: case for case in CASES}
    clock = "from apscheduler.schedulers.background import BackgroundScheduler\n"
    files = by_id["taskiq"].code | {
        "shop/clock.py": f"{clock}scheduler = BackgroundScheduler()\nscheduler.add_job(f)\n"
    }
    found = surveyed(tmp_path, files | {"requirements.txt": "taskiq-redis\napscheduler\n"})
    assert {use.id for use in found.frameworks} == {"taskiq", "apscheduler"}
    assert found.primary == "taskiq"


def test_a_worker_start_is_evidence(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.id == "arq")
    files = case.manifest | case.code | {"Procfile": "worker: arq shop.worker.WorkerSettings\n"}
    use = use_in(tmp_path, files, "arq")
    assert use is not None and "Procfile" in {place.path for place in use.evidence}


@pytest.mark.real
def test_the_parser_is_loaded_for_other_languages_alone(tmp_path: Path) -> None:
    """A Python repository costs no import of it."""
    root = helpers.build_tree(tmp_path, {"requirements.txt": "arq\n", "shop/a.py": "import arq\n"})
    code = (
        "import sys; from pathlib import Path; from skillrun.frameworks.registry import"
        " recognisers\nfrom skillrun.repo.survey import survey_tree; from skillrun.repo.tree import"
        f" Tree\nsurvey_tree(Tree(Path({str(root)!r})), recognisers()); sys.exit('ast_grep_py' in"
        " sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
