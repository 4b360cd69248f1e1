"""Repositories written in the manner of real ones that were once misread, each beside an honest
neighbour that is read the other way.
"""

from __future__ import annotations

import json
from pathlib import Path

import helpers
import pytest

from skillrun.frameworks.registry import recognisers
from skillrun.repo.survey import Survey, survey_tree
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse


def surveyed(root: Path, files: dict[str, str]) -> Survey:
    return survey_tree(Tree(helpers.build_tree(root, files)), recognisers())


def ids_in(root: Path, files: dict[str, str]) -> list[str]:
    return [use.id for use in surveyed(root, files).frameworks]


def found_in(root: Path, files: dict[str, str], library: str) -> FrameworkUse:
    use = surveyed(root, files).use(library)
    assert use is not None
    return use


POM = {
    "pom.xml": (
        "<project><dependencies><dependency><groupId>org.quartz-scheduler</groupId>"
        "<artifactId>quartz</artifactId></dependency></dependencies></project>"
    )
}
QUARTZ = (
    "import org.quartz.Job;\nimport org.quartz.JobExecutionContext;\n\n"
    "public class Mailer implements Job {\n"
    "    public void execute(JobExecutionContext context) { }\n}\n"
)
PACKAGES = (
    "src/main/java/com/example/shop/Mailer.java",
    "server/src/main/java/org/acme/examples/Mailer.java",
    "app/src/main/java/com/acme/testing/Mailer.java",
    "src/main/java/shop/example/Mailer.java",
    # Sources without Maven's folders: Ant, Eclipse, Bazel, an old checkout.
    "src/com/example/shop/Mailer.java",
    "java/com/example/Mailer.java",
    "org/x/examples/Mailer.java",
    "backend/JavaSource/uk/co/shop/demo/Mailer.java",
    "server/src/de/shop/vendor/Mailer.java",
    "com/acme/shop/src/main/java/com/acme/docs/Mailer.java",
)
EXAMPLES = (
    "examples/shop/src/main/java/com/acme/Mailer.java",
    "src/test/java/com/acme/Mailer.java",
    "docs/java/com/acme/Mailer.java",
    "examples/com/acme/Mailer.java",
    "com/acme/shop/examples/src/main/java/com/acme/Mailer.java",
    "com/acme/shop/src/test/java/com/acme/Mailer.java",
    # Nothing says that these are packages.
    "src/examples/Mailer.java",
    "ui/examples/Mailer.java",
    # Without a root of their own, tests stand in a package.
    "src/com/acme/tests/Mailer.java",
    "src/com/acme/MailerTest.java",
)
PYTHON_ASIDE = ("org/tests/jobs.py", "src/com/examples/jobs.py")


@pytest.mark.parametrize("path", PACKAGES)
def test_a_java_package_that_is_called_example_is_the_application(
    tmp_path: Path, path: str
) -> None:
    assert found_in(tmp_path, POM | {path: QUARTZ}, "quartz").task_modules == (path,)


@pytest.mark.parametrize("path", EXAMPLES)
def test_an_example_in_java_is_still_one(tmp_path: Path, path: str) -> None:
    assert ids_in(tmp_path, POM | {path: QUARTZ}) == []


@pytest.mark.parametrize("path", PYTHON_ASIDE)
def test_a_folder_of_python_is_no_java_package(tmp_path: Path, path: str) -> None:
    code = "import prefect\n\n@prefect.flow\ndef send(): ...\n"
    assert ids_in(tmp_path, {"requirements.txt": "prefect\n", path: code}) == []


def _shared(*names: str) -> str:
    tasks = "".join(f"\n\n@shared_task\ndef {name}(pk): ...\n" for name in names)
    return f"from celery import shared_task\n{tasks}"


EXTRA = {
    "setup.py": "from setuptools import setup\nsetup(name='c', install_requires=['x'])\n",
    "requirements.txt": "openwisp-utils[celery] @ https://x/1.3.tar.gz\ndjango\n",
}


def test_an_app_that_comes_through_the_extra_of_a_dependency(tmp_path: Path) -> None:
    code = {
        "openwisp_controller/config/tasks.py": _shared("update_config", "invalidate"),
        "openwisp_controller/connection/tasks.py": _shared("launch_command"),
        "tests/openwisp2/celery.py": "from celery import Celery\napp = Celery('openwisp2')\n",
    }
    use = found_in(tmp_path, EXTRA | code, "celery")
    assert use.app == "tests/openwisp2/celery.py:app"
    assert use.task_modules == (
        "openwisp_controller/config/tasks.py",
        "openwisp_controller/connection/tasks.py",
    )


def test_an_sdk_with_the_extra_shows_one_task_and_runs_none(tmp_path: Path) -> None:
    files = {"requirements.txt": "sentry-sdk[celery]\ndjango\n", "lib/tasks.py": _shared("flush")}
    assert ids_in(tmp_path / "one", files) == []
    files["lib/tasks.py"] = "x = 1\n"
    files["lib/contrib/celery.py"] = _shared("flush", "send", "drop")
    assert ids_in(tmp_path / "optional", files) == []


TIMER_JSON = (
    '{\n  "scriptFile": "__init__.py",\n  "bindings": [\n    {\n      "name": "timer",\n'
    '      "type": "timerTrigger",\n      "schedule": "0 */5 * * * *"\n    }\n  ]\n}\n'
)
AZURE_POM = (
    "<project><dependencies><dependency><groupId>com.microsoft.azure.functions</groupId>"
    "<artifactId>azure-functions-java-library</artifactId></dependency></dependencies></project>"
)
AZURE_JAVA = (
    "package com.function;\n\nimport com.microsoft.azure.functions.annotation.*;\n\n"
    'public class Sweep {{\n    @FunctionName("Sweep")\n'
    "    public void run(@{trigger} String text) {{ }}\n}}\n"
)
AZURE_PROJECT = (
    '<Project><ItemGroup><PackageReference Include="{package}" Version="1" /></ItemGroup></Project>'
)
AZURE_CSHARP = (
    '{opened}\n\nclass Sweep {{\n    [Function("Sweep")]\n'
    "    public void Run([{trigger}] string text) {{ }}\n}}\n"
)
AZURE = {
    "function.json": {
        "host.json": "{}",
        "requirements.txt": "azure-functions\n",
        "Sweep/function.json": TIMER_JSON,
        "Sweep/__init__.py": "import azure.functions as func\ndef main(timer): ...\n",
    },
    "Python, version 2": {
        "requirements.txt": "azure-functions\n",
        "function_app.py": (
            "import azure.functions as func\n\napp = func.FunctionApp()\n\n"
            "@app.timer_trigger(schedule='0 */5 * * * *', arg_name='timer')\n"
            "def sweep(timer): ...\n"
        ),
    },
    "JavaScript, version 4": {
        "package.json": '{"dependencies": {"@azure/functions": "^4"}}',
        "src/functions/sweep.js": (
            "const { app } = require('@azure/functions');\n\n"
            "app.timer('sweep', { schedule: '0 */5 * * * *', handler: () => {} });\n"
        ),
    },
    "Java": {
        "pom.xml": AZURE_POM,
        "src/main/java/com/function/Sweep.java": AZURE_JAVA.format(
            trigger='TimerTrigger(name = "t", schedule = "0 */5 * * * *")'
        ),
    },
    "C#, in the process": {
        "Shop.csproj": AZURE_PROJECT.format(package="Microsoft.NET.Sdk.Functions"),
        "Sweep.cs": AZURE_CSHARP.format(
            opened="using Microsoft.Azure.WebJobs;", trigger='TimerTrigger("0 */5 * * * *")'
        ),
    },
    "C#, opened for the whole project": {
        "Shop.csproj": AZURE_PROJECT.format(package="Microsoft.Azure.Functions.Worker"),
        "Usings.cs": "global using Microsoft.Azure.Functions.Worker;\n",
        "Sweep.cs": AZURE_CSHARP.format(
            opened="", trigger='TimerTriggerAttribute("0 */5 * * * *")'
        ),
    },
    "C#": {
        "Shop.csproj": (
            '<Project><ItemGroup><PackageReference Include="Microsoft.Azure.Functions.Worker"'
            ' Version="1" /></ItemGroup></Project>'
        ),
        "Sweep.cs": (
            'using Microsoft.Azure.Functions.Worker;\n\nclass Sweep {\n    [Function("Sweep")]\n'
            '    public void Run([TimerTrigger("0 */5 * * * *")] object timer) { }\n}\n'
        ),
    },
}


@pytest.mark.parametrize("name", AZURE)
def test_azure_functions_with_a_timer_are_started_by_the_clock(tmp_path: Path, name: str) -> None:
    use = found_in(tmp_path, AZURE[name], "plain-cron")
    assert use.scheduler == "Azure timerTrigger"
    assert use.task_modules and use.evidence


NO_TIMER = {
    "an HTTP trigger": {
        "requirements.txt": "azure-functions\n",
        "Api/function.json": TIMER_JSON.replace("timerTrigger", "httpTrigger"),
    },
    "routes": {
        "requirements.txt": "azure-functions\n",
        "function_app.py": (
            "import azure.functions as func\napp = func.FunctionApp()\n"
            "@app.route(route='x')\ndef x(request): ...\n"
        ),
    },
    "a test's": {"tests/Sweep/function.json": TIMER_JSON},
    "Java": {
        "pom.xml": AZURE_POM,
        "src/main/java/com/function/Sweep.java": AZURE_JAVA.format(
            trigger='HttpTrigger(name = "x")'
        ),
    },
    "an attribute of somebody else's": {
        "Shop.csproj": AZURE_PROJECT.format(package="Acme.Clock"),
        "Sweep.cs": AZURE_CSHARP.format(opened="using Acme.Clock;", trigger='TimerTrigger("1")'),
    },
}


@pytest.mark.parametrize("name", NO_TIMER)
def test_azure_functions_without_a_timer_are_no_jobs(tmp_path: Path, name: str) -> None:
    assert ids_in(tmp_path, NO_TIMER[name]) == []


AZURE_QUEUES = {
    "function.json": {"Send/function.json": TIMER_JSON.replace("timerTrigger", "queueTrigger")},
    "Python": {
        "requirements.txt": "azure-functions\n",
        "function_app.py": (
            "import azure.functions as func\n\napp = func.FunctionApp()\n\n"
            "@app.queue_trigger(arg_name='m', queue_name='mail', connection='S')\n"
            "def send(m): ...\n"
        ),
    },
    "JavaScript": {
        "package.json": '{"dependencies": {"@azure/functions": "^4"}}',
        "src/functions/send.js": (
            "const { app } = require('@azure/functions');\n\n"
            "app.storageQueue('send', { queueName: 'mail', handler: () => {} });\n"
        ),
    },
    "Java": {
        "pom.xml": AZURE_POM,
        "src/main/java/com/function/Send.java": AZURE_JAVA.format(
            trigger='QueueTrigger(name = "m", queueName = "mail", connection = "S")'
        ),
    },
    "C#": {
        "Shop.csproj": AZURE_PROJECT.format(package="Microsoft.Azure.Functions.Worker"),
        "Send.cs": AZURE_CSHARP.format(
            opened="using Microsoft.Azure.Functions.Worker;", trigger='QueueTrigger("mail")'
        ),
    },
}


@pytest.mark.parametrize("name", AZURE_QUEUES)
def test_azure_functions_with_a_queue_are_jobs_of_it(tmp_path: Path, name: str) -> None:
    use = found_in(tmp_path, AZURE_QUEUES[name], "azure-functions")
    assert (use.scheduler, use.broker) == (None, "azurestoragequeues")
    assert use.task_modules and use.evidence


def test_a_service_bus_carries_the_jobs_of_azure_functions(tmp_path: Path) -> None:
    code = AZURE_JAVA.format(trigger='ServiceBusQueueTrigger(name = "m", queueName = "mail")')
    files = {"pom.xml": AZURE_POM, "src/main/java/com/function/Send.java": code}
    assert found_in(tmp_path, files, "azure-functions").broker == "azureservicebus"


LITEQUE = {
    "package.json": '{"dependencies": {"liteque": "^0.3"}}',
    "packages/shared/queues.ts": (
        'import { buildDBClient, SqliteQueue } from "liteque";\n\n'
        'export const LinkQueue = new SqliteQueue("links", buildDBClient("q.db"), {});\n'
    ),
    "apps/workers/crawler.ts": (
        'import { Runner } from "liteque";\nimport { LinkQueue } from "@shop/shared/queues";\n\n'
        "export function build() {\n  const worker = new Runner(LinkQueue, { run }, {});\n"
        "  return worker;\n}\n"
    ),
}
WASP = {
    "main.wasp": (
        'app shop {\n  title: "Shop"\n}\n\njob sendEmails {\n  executor: PgBoss,\n  perform: {\n'
        '    fn: import { send } from "@src/jobs"\n  },\n  schedule: {\n    cron: "0 * * * *"\n  }\n}\n'
    ),
    "package.json": '{"dependencies": {"wasp": "file:.wasp/out/sdk"}}',
    "src/jobs.ts": "export const send = async () => {};\n",
}


def test_liteque(tmp_path: Path) -> None:
    use = found_in(tmp_path / "used", LITEQUE, "liteque")
    assert (use.app, use.broker) == ("apps/workers/crawler.ts:worker", "sqlite")
    types = {"package.json": LITEQUE["package.json"], "src/a.ts": 'export type Q = "liteque";\n'}
    assert ids_in(tmp_path / "named", types) == []


WASP_IN_TYPESCRIPT = {
    "main.wasp.ts, one line": (
        "main.wasp.ts",
        'import { App } from "wasp-config";\nconst app = new App("shop", {});\n'
        'app.job("mail", { executor: "PgBoss", perform: {}, schedule: { cron: "0 * * * *" } });\n',
    ),
    "a specification": (
        "main.wasp.ts",
        'import { app, job } from "@wasp.sh/spec";\nimport { mail } from "./src/mail";\n\n'
        "export default app({\n  spec: [\n    job(mail, {\n      executor: 'PgBoss',\n"
        "      schedule: { cron: '0 * * * *' },\n    }),\n  ],\n});\n",
    ),
    "a module that main.wasp.ts imports": (
        "src/mail.wasp.ts",
        "export const addJobs = (app) => {\n  app.job('mail', {\n    'executor': 'PgBoss',\n"
        "    schedule: {\n      cron: '0 * * * *'\n    }\n  });\n};\n",
    ),
}


@pytest.mark.parametrize("name", WASP_IN_TYPESCRIPT)
def test_wasp_jobs_are_declared_in_typescript(tmp_path: Path, name: str) -> None:
    path, code = WASP_IN_TYPESCRIPT[name]
    files = {"package.json": WASP["package.json"], path: code}
    use = found_in(tmp_path / "job", files, "pg-boss")
    assert (use.app, use.scheduler, use.broker) == (path, "pg-boss", "postgres")
    without = files | {path: code.replace("executor", "* an executor of jobs, executer")}
    assert ids_in(tmp_path / "none", without) == []
    comment = "/**\n * job(mail, { executor: 'PgBoss' })\n */\nexport const x = 'PgBoss';\n"
    assert ids_in(tmp_path / "comment", files | {path: comment}) == []


def test_wasp_jobs_run_on_pg_boss(tmp_path: Path) -> None:
    use = found_in(tmp_path / "job", WASP, "pg-boss")
    assert (use.app, use.scheduler, use.broker) == ("main.wasp", "pg-boss", "postgres")
    without = WASP | {"main.wasp": WASP["main.wasp"].partition("job ")[0]}
    assert ids_in(tmp_path / "none", without) == []


ROUTES = (
    "from fastapi import APIRouter, BackgroundTasks\nfrom shop.mail import send\n\n"
    "router = APIRouter()\n\n@router.post('/orders')\n"
    "async def buy(background_tasks: BackgroundTasks):\n    background_tasks.add_task(send, 1)\n"
)
FASTAPI = {"requirements.txt": "fastapi\nrich\n", "shop/routes.py": ROUTES}


def test_background_tasks_of_fastapi_are_a_queue_in_the_process(tmp_path: Path) -> None:
    use = found_in(tmp_path / "used", FASTAPI, "custom-queue")
    assert (use.task_modules, use.broker) == (("shop/routes.py",), "in-process")
    with_arq = FASTAPI | {
        "requirements.txt": "fastapi\narq\n",
        "shop/worker.py": "import arq\nclass WorkerSettings:\n    functions = []\n",
    }
    assert ids_in(tmp_path / "library", with_arq) == ["arq"]


SPELLED = (
    ("import fastapi", "fastapi.BackgroundTasks"),
    ("import fastapi as web", "web.BackgroundTasks | None = None"),
    ("import starlette.background", "starlette.background.BackgroundTasks"),
    ("from starlette import background", "background.BackgroundTasks"),
    ("from starlette.background import BackgroundTasks as Later", "Later"),
    ("from shop.web import BackgroundTasks", "BackgroundTasks"),
)


@pytest.mark.parametrize(("imported", "written"), SPELLED, ids=[written for _, written in SPELLED])
def test_background_tasks_are_found_however_they_are_imported(
    tmp_path: Path, imported: str, written: str
) -> None:
    code = f"{imported}\n\ndef buy(tasks: {written}):\n    tasks.add_task(send, 1)\n"
    files = FASTAPI | {
        "shop/routes.py": code,
        "shop/web.py": "from fastapi import BackgroundTasks\n",
    }
    assert found_in(tmp_path, files, "custom-queue").task_modules == ("shop/routes.py",)


def test_a_process_with_a_queue_is_found_by_its_module(tmp_path: Path) -> None:
    code = (
        "import multiprocessing\n\nclass Mailer(multiprocessing.Process):\n"
        "    queue = multiprocessing.{name}()\n"
    )
    files = {"requirements.txt": "flask\n", "shop/mail.py": code.format(name="JoinableQueue")}
    assert ids_in(tmp_path / "queue", files) == ["custom-queue"]
    files["shop/mail.py"] = code.format(name="Event")
    assert ids_in(tmp_path / "event", files) == []


def test_another_add_task_is_no_background_task(tmp_path: Path) -> None:
    progress = "from rich.progress import Progress\nprogress = Progress()\nprogress.add_task('x')\n"
    assert ids_in(tmp_path / "rich", FASTAPI | {"shop/routes.py": progress}) == []
    module = f"import fastapi\n# BackgroundTasks\n{progress}"
    assert ids_in(tmp_path / "module", FASTAPI | {"shop/routes.py": module}) == []
    named = "from fastapi import BackgroundTasks\ndef f(tasks: BackgroundTasks): ...\n"
    assert ids_in(tmp_path / "named", FASTAPI | {"shop/routes.py": named}) == []


STARTED = {
    "requirements.txt": "psycopg\n",
    "docker-compose.yml": (
        "services:\n  web:\n    command: sh -c 'python wait_for_db.py && gunicorn shop.wsgi'\n"
    ),
}
WAITS = {
    "exits": (
        "import sys, time\nimport psycopg\nwhile True:\n    try:\n        psycopg.connect('x')\n"
        "        sys.exit(0)\n    except psycopg.OperationalError:\n        print('waiting')\n"
        "    time.sleep(1)\n"
    ),
    "becomes the server": (
        "import os, time\nimport psycopg\nwhile True:\n    try:\n        psycopg.connect('x')\n"
        "        os.execvp('gunicorn', ['gunicorn'])\n    except OSError:\n        pass\n"
        "    time.sleep(1)\n"
    ),
    "sets a flag": (
        "import time\nimport psycopg\ndone = False\nwhile not done:\n    try:\n"
        "        psycopg.connect('x')\n        done = True\n    except OSError:\n        pass\n"
        "    time.sleep(1)\n"
    ),
    "asks": (
        "import time\nfrom shop.db import database_is_running\n"
        "while not database_is_running():\n    print('waiting')\n    time.sleep(1)\n"
    ),
}


@pytest.mark.parametrize("name", WAITS)
def test_a_script_that_waits_for_a_database_is_no_poller(tmp_path: Path, name: str) -> None:
    assert ids_in(tmp_path, STARTED | {"wait_for_db.py": WAITS[name]}) == []


POLLS = {
    "until it is told to stop": (
        "import time\nfrom shop.mail import send\nstopped = False\nwhile not stopped:\n"
        "    send()\n    time.sleep(5)\n"
    ),
    "without end": (
        "import sys, time\nfrom shop.mail import send\nwhile True:\n    try:\n        send()\n"
        "    except KeyboardInterrupt:\n        sys.exit(0)\n    time.sleep(5)\n"
    ),
}


@pytest.mark.parametrize("name", POLLS)
def test_a_loop_that_works_in_every_turn_is_a_poller(tmp_path: Path, name: str) -> None:
    assert ids_in(tmp_path, STARTED | {"wait_for_db.py": POLLS[name]}) == ["plain-cron"]


CELERY = {"requirements.txt": "celery[redis]\n"}
APP = "from celery import Celery\n\napp = Celery('shop')\n"


def test_the_option_of_a_worker_command_names_the_app(tmp_path: Path) -> None:
    """The object itself is made by a package that is not here."""
    files = CELERY | {
        "config/__init__.py": "",
        "config/celery_app.py": "from acme_platform.jobs import make_celery\n\napp = make_celery()\n",
        "shop/tasks.py": _shared("send"),
        "Procfile": "worker: celery -A config.celery_app:app worker -l INFO\n",
    }
    use = found_in(tmp_path / "named", files, "celery")
    assert use.app == "config/celery_app.py:app"
    files["Procfile"] = "web: gunicorn shop\n"
    assert found_in(tmp_path / "unnamed", files, "celery").app is None


OTHER_APP = {
    "aaa/celery.py": (
        "from celery import Celery\n\napp = Celery('a')\napp.autodiscover_tasks()\n\n"
        "@app.task\ndef send(): ...\n"
    )
}
MADE_ELSEWHERE = "from acme.jobs import make\n\napp = make()\n"
NAMED = {
    "config.jobs:app": ({"config/jobs.py": MADE_ELSEWHERE}, "config/jobs.py:app"),
    "config.jobs": ({"config/jobs.py": MADE_ELSEWHERE}, "config/jobs.py"),
    "config": (
        {"config/__init__.py": "", "config/celery.py": MADE_ELSEWHERE},
        "config/celery.py:app",
    ),
    "config.celery_jobs": (
        {"config/celery_jobs.py": MADE_ELSEWHERE.replace("app =", "celery =")},
        "config/celery_jobs.py:celery",
    ),
}


@pytest.mark.parametrize("named", NAMED)
def test_the_app_that_a_command_names_comes_before_another(tmp_path: Path, named: str) -> None:
    code, app = NAMED[named]
    files = CELERY | OTHER_APP | code | {"Procfile": f"worker: celery -A {named} worker\n"}
    assert found_in(tmp_path / "named", files, "celery").apps == (app, "aaa/celery.py:app")
    files["Procfile"] = "worker: celery -A acme.jobs worker\n"
    assert found_in(tmp_path / "elsewhere", files, "celery").apps == ("aaa/celery.py:app",)


def test_a_command_names_the_app_of_its_own_part(tmp_path: Path) -> None:
    files = CELERY | {"ads/app/worker.py": OTHER_APP["aaa/celery.py"], "billing/app/worker.py": APP}
    files["billing/compose.yml"] = "services:\n  w:\n    command: celery -A app.worker worker\n"
    assert found_in(tmp_path, files, "celery").app == "billing/app/worker.py:app"


def test_the_app_of_the_worker_comes_before_that_of_the_clock(tmp_path: Path) -> None:
    files = CELERY | {"aaa/jobs.py": APP, "shop/jobs.py": APP}
    beat, worker = "beat: celery -A aaa.jobs beat\n", "worker: celery -A shop.jobs worker\n"
    use = found_in(tmp_path / "both", files | {"Procfile": beat + worker}, "celery")
    assert use.apps == ("shop/jobs.py:app", "aaa/jobs.py:app")
    beat = beat.replace("aaa", "shop")
    use = found_in(tmp_path / "clock", files | {"Procfile": beat}, "celery")
    assert use.app == "shop/jobs.py:app"


COMMANDS_WITH_A_VARIABLE = {
    "run.sh": "APP=shop.jobs\nexec celery -A $APP worker\n",
    "start.sh": 'exec celery -A "${APP:-shop.jobs}" worker\n',
    "docker-compose.yml": (
        "services:\n  w:\n    environment:\n      APP: shop.jobs\n"
        "    command: sh -c 'celery -A $${APP} worker'\n"
    ),
}


@pytest.mark.parametrize("path", COMMANDS_WITH_A_VARIABLE)
def test_a_variable_of_the_command_names_the_app(tmp_path: Path, path: str) -> None:
    files = CELERY | {"aaa/jobs.py": APP, "shop/jobs.py": APP}
    use = found_in(tmp_path / "set", files | {path: COMMANDS_WITH_A_VARIABLE[path]}, "celery")
    assert use.app == "shop/jobs.py:app"
    unset = "exec celery -A $APP worker\n"
    assert found_in(tmp_path / "unset", files | {path: unset}, "celery").app == "aaa/jobs.py:app"


def test_settings_that_a_command_names_stand_for_their_queue(tmp_path: Path) -> None:
    settings = "from shop.mail import send\n\nsettings = {'queue': queue, 'functions': [send]}\n"
    files = SAQ | {
        "aaa/queues.py": SAQ["shop/queues.py"] + settings,
        "shop/worker.py": "from shop.queues import queue\n" + settings,
    }
    assert found_in(tmp_path / "unnamed", files, "saq").app == "aaa/queues.py:queue"
    files["Procfile"] = "worker: saq shop.worker.settings\n"
    assert found_in(tmp_path / "named", files, "saq").app == "shop/queues.py:queue"


WITH_CLIENT = {
    "saq": (
        {
            "requirements.txt": "saq\n",
            "api/client.py": (
                "from saq import Queue\n\nqueue = Queue.from_url('redis://r')\n\n"
                "async def buy():\n    await queue.enqueue('send')\n"
            ),
            "jobs/worker.py": (
                "from saq.queue.redis import RedisQueue\n\nqueue = RedisQueue(1)\n\n"
                "async def send(ctx): ...\n\nsettings = {'queue': queue, 'functions': [send]}\n"
            ),
        },
        "jobs/worker.py:queue",
    ),
    "dramatiq": (
        {
            "requirements.txt": "dramatiq\n",
            "api/broker.py": (
                "from dramatiq.brokers.redis import RedisBroker\n\nbroker = RedisBroker()\n"
            ),
            "jobs/worker.py": (
                "import dramatiq\nfrom dramatiq.brokers.redis import RedisBroker\n\n"
                "broker = RedisBroker()\n\n@dramatiq.actor\ndef send(): ...\n"
            ),
        },
        "jobs/worker.py:broker",
    ),
    "bullmq": (
        {
            "package.json": '{"dependencies": {"bullmq": "^5"}}',
            "api/client.ts": (
                'import { Queue } from "bullmq";\nconst mail = new Queue("mail");\nmail.add("x");\n'
            ),
            "jobs/worker.ts": (
                'import { Worker } from "bullmq";\n'
                'export const worker = new Worker("mail", async () => {});\n'
            ),
        },
        "jobs/worker.ts:worker",
    ),
}


@pytest.mark.parametrize("library", WITH_CLIENT)
def test_what_only_sends_comes_after_the_worker_in_every_library(
    tmp_path: Path, library: str
) -> None:
    files, app = WITH_CLIENT[library]
    assert found_in(tmp_path, files, library).app == app


def test_a_queue_that_jobs_are_sent_to_beside_its_worker_is_the_app(tmp_path: Path) -> None:
    files, _ = WITH_CLIENT["bullmq"]
    both = files["jobs/worker.ts"] + (
        'import { Queue } from "bullmq";\nconst mail = new Queue("mail");\nmail.add("x");\n'
    )
    files = {"package.json": files["package.json"], "shop/jobs.ts": both}
    assert found_in(tmp_path, files, "bullmq").app == "shop/jobs.ts:mail"


def test_a_file_that_only_sends_is_not_the_worker(tmp_path: Path) -> None:
    client = (
        "from celery import Celery\n\napp = Celery('client', broker='redis://r')\n\n"
        "def buy(order):\n    app.send_task('worker.send', args=[order])\n"
    )
    worker = "from celery import Celery\n\napp = Celery('w')\n\n@app.task\ndef send(order): ...\n"
    files = CELERY | {"api/celery_client.py": client, "jobs/worker.py": worker}
    use = found_in(tmp_path / "client", files, "celery")
    assert use.apps == ("jobs/worker.py:app", "api/celery_client.py:app")
    # One that also has tasks is a worker that sends to another.
    files["api/celery_client.py"] = client + "\n@app.task\ndef confirm(): ...\n"
    use = found_in(tmp_path / "both", files, "celery")
    assert use.apps[0] == "api/celery_client.py:app"


@pytest.mark.real
def test_files_that_could_not_be_read_are_said(tmp_path: Path) -> None:
    files = CELERY | {"shop/celery.py": APP, "shop/tasks.py": "from celery import (\n"}
    root = helpers.build_tree(tmp_path / "broken", files)
    done = helpers.run_cli("detect", cwd=root)
    assert "note: shop/tasks.py:1: not parsed: '(' was never closed" in done.stdout
    listed = helpers.run_cli("jobs", cwd=root)
    assert "note: shop/tasks.py:1: not parsed: '(' was never closed" in listed.stdout
    assert json.loads(helpers.run_cli("detect", "--json", cwd=root).stdout)["notes"]
    files["shop/tasks.py"] = _shared("send")
    whole = helpers.build_tree(tmp_path / "whole", files)
    assert "note:" not in helpers.run_cli("detect", cwd=whole).stdout
    assert json.loads(helpers.run_cli("detect", "--json", cwd=whole).stdout)["notes"] == []


def test_a_file_that_is_too_large_to_read_is_said(tmp_path: Path) -> None:
    large = _shared("send") + "# words\n" * 150_000
    found = surveyed(tmp_path, CELERY | {"shop/big.py": large, "tests/big.py": large})
    assert found.notes == ("shop/big.py: not read: larger than 1 MB",)


SAQ = {
    "requirements.txt": "saq\n",
    "shop/__init__.py": "",
    "shop/queues.py": "from saq import Queue\n\nqueue = Queue.from_url('redis://localhost')\n",
    "shop/mail.py": "import smtplib\n\n\nasync def send(ctx, *, order_id): ...\n",
}
SETTINGS = "from shop.mail import send\nfrom shop.queues import queue\n\n"


@pytest.mark.parametrize(
    "settings",
    (
        "settings = {'queue': queue, 'functions': [send]}\n",
        "def settings():\n    return {'queue': queue, 'functions': [send]}\n",
        "settings = dict(queue=queue, functions=[send])\n",
    ),
    ids=("a dictionary", "a function that returns one", "dict()"),
)
def test_settings_that_do_not_name_the_library_list_its_functions(
    tmp_path: Path, settings: str
) -> None:
    """Nor does the file of the function: both were searched for the word `saq`."""
    files = SAQ | {"shop/worker.py": SETTINGS + settings}
    assert found_in(tmp_path, files, "saq").task_modules == ("shop/mail.py",)


def test_functions_that_a_language_model_is_offered_are_no_jobs(tmp_path: Path) -> None:
    asked = "ask(model='m', functions=[send])\nmore = {'functions': [send], 'model': 'm'}\n"
    files = SAQ | {"shop/chat.py": SETTINGS + asked}
    assert found_in(tmp_path, files, "saq").task_modules == ()


def test_settings_of_a_library_that_nobody_has_are_none(tmp_path: Path) -> None:
    settings = SETTINGS + "settings = {'queue': queue, 'functions': [send]}\n"
    files = {**SAQ, "requirements.txt": "django\n", "shop/worker.py": settings}
    assert ids_in(tmp_path, files | {"shop/queues.py": "queue = 1\n"}) == []
