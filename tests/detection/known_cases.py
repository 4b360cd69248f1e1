"""Small repositories, one a library that is only recognised: (id, manifest, code, app, task
modules).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """`code` holds the application's files; `manifest` what it says that it depends on."""

    id: str
    manifest: dict[str, str]
    code: dict[str, str]
    app: str | None
    tasks: tuple[str, ...]
    name: str = ""  # where one library has several cases


def _pip(name: str) -> dict[str, str]:
    return {"requirements.txt": f"{name}\n"}


def _npm(name: str) -> dict[str, str]:
    return {"package.json": f'{{"dependencies": {{"{name}": "^1"}}}}'}


def _gem(name: str) -> dict[str, str]:
    return {"Gemfile": f'source "https://rubygems.org"\ngem "rails"\ngem "{name}", "~> 1"\n'}


def _go(name: str) -> dict[str, str]:
    return {"go.mod": f"module shop\n\ngo 1.22\n\nrequire (\n\t{name} v1.0.0\n)\n"}


def _maven(group: str, artifact: str) -> dict[str, str]:
    one = f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId></dependency>"
    return {"pom.xml": f"<project><dependencies>{one}</dependencies></project>"}


def _nuget(name: str) -> dict[str, str]:
    one = f'<PackageReference Include="{name}" Version="1.0" />'
    return {"Shop/Shop.csproj": f"<Project><ItemGroup>{one}</ItemGroup></Project>"}


_DAG = "from airflow import DAG\n\nwith DAG('nightly') as dag:\n    ...\n"
_RAILS_JOB = {"app/jobs/mail_job.rb": "class MailJob < ApplicationJob\n  def perform; end\nend\n"}


def _adapter(name: str) -> dict[str, str]:
    return {
        "config/application.rb": f"class App\n  config.active_job.queue_adapter = :{name}\nend\n"
    }


CASES = (
    Case(
        "arq",
        _pip("arq"),
        {
            "shop/worker.py": (
                "from arq.connections import RedisSettings\nfrom shop.jobs import send\n\nclass"
                " WorkerSettings:\n    functions = [send]\n    redis_settings = RedisSettings()\n"
            ),
            "shop/jobs.py": "from arq import Retry\n\nasync def send(ctx): ...\n",
        },
        "shop/worker.py:WorkerSettings",
        ("shop/jobs.py",),
    ),
    Case(
        "saq",
        _pip("saq[redis]"),
        {
            "shop/queues.py": (
                "from saq import Queue\n\nqueue = Queue.from_url('redis://localhost')\n"
            ),
            "shop/worker.py": (
                "from shop.jobs import send\nfrom shop.queues import queue\n\nsettings ="
                " {'queue': queue, 'functions': [send]}\n"
            ),
            "shop/jobs.py": "async def send(ctx, *, order): ...\n",
        },
        "shop/queues.py:queue",
        ("shop/jobs.py",),
    ),
    Case(
        "taskiq",
        _pip("taskiq-redis"),
        {
            "shop/tkq.py": (
                "from taskiq_redis import ListQueueBroker, R\n\n"
                "broker = ListQueueBroker('x').with_result_backend(R())\n"
            ),
            "shop/jobs.py": (
                "from shop.tkq import broker\n\n@broker.task(retry_on_error=True)\nasync def"
                " send(): ...\n"
            ),
        },
        "shop/tkq.py:broker",
        ("shop/jobs.py",),
    ),
    Case(
        "taskiq",
        _pip("taskiq-redis"),
        {
            "shop/types.py": (
                "from taskiq_redis import PubSubBroker\n\nclass OwnBroker(PubSubBroker): ...\n"
            ),
            "shop/tkq.py": (
                "from shop.types import OwnBroker\n\n# taskiq\nbroker = OwnBroker('x')\n"
            ),
            "shop/jobs.py": (
                "from shop.tkq import broker\n\n@broker.task(retry_on_error=True)\nasync def"
                " send(): ...\n"
            ),
        },
        "shop/tkq.py:broker",
        ("shop/jobs.py",),
        name="a class of its own",
    ),
    Case(
        "procrastinate",
        _pip("flask"),
        {
            "shop/queue.py": (
                "import procrastinate\n\nqueue_app = procrastinate.App(connector=None)\n"
            ),
            "shop/jobs.py": (
                "from shop.queue import queue_app\n\n@queue_app.task(queue='x')\ndef send(): ...\n"
            ),
        },
        "shop/queue.py:queue_app",
        ("shop/jobs.py",),
        name="declared nowhere",
    ),
    Case(
        "django-q2",
        _pip("django-q2"),
        {
            "shop/settings.py": "Q_CLUSTER = {'name': 'shop'}\n",
            "shop/views.py": (
                "from django_q.tasks import async_task\n\ndef buy():\n   "
                " async_task('shop.jobs.send')\n"
            ),
        },
        "shop/settings.py:Q_CLUSTER",
        ("shop/views.py",),
    ),
    Case(
        "django-tasks",
        _pip("django>=6"),
        {
            "shop/settings.py": "TASKS = {'default': {}}\n",
            "shop/jobs.py": "from django.tasks import task\n\n@task()\ndef send(): ...\n",
        },
        "shop/settings.py:TASKS",
        ("shop/jobs.py",),
    ),
    Case(
        "airflow", _pip("apache-airflow"), {"dags/nightly.py": _DAG}, "dags", ("dags/nightly.py",)
    ),
    Case(
        "airflow",
        _pip("apache-airflow"),
        {"pipes/nightly.py": _DAG},
        "pipes/nightly.py",
        ("pipes/nightly.py",),
        "without its usual folder",
    ),
    Case(
        "prefect",
        _pip("prefect"),
        {"flows/load.py": "from prefect import flow\n\n@flow(name='x')\ndef load(): ...\n"},
        "flows/load.py:load",
        ("flows/load.py",),
    ),
    Case(
        "dagster",
        _pip("dagster"),
        {
            "pipes/defs.py": (
                "import dagster as dg\n\n@dg.asset\ndef a(): ...\n\ndefs ="
                " dg.Definitions(assets=[a])\n"
            )
        },
        "pipes/defs.py:defs",
        ("pipes/defs.py",),
    ),
    Case(
        "temporal",
        _pip("temporalio"),
        {
            "shop/run.py": "from temporalio.worker import Worker\n\nworker = Worker(None)\n",
            "shop/flow.py": "from temporalio import workflow\n\n@workflow.defn\nclass Flow: ...\n",
        },
        "shop/run.py",
        ("shop/flow.py",),
    ),
    Case(
        "dbos",
        _pip("dbos"),
        {
            "shop/main.py": (
                "from dbos import DBOS\n\ndb = DBOS(config={})\n\n@DBOS.workflow()\ndef send():"
                " ...\n"
            )
        },
        "shop/main.py:db",
        ("shop/main.py",),
    ),
    Case(
        "bull",
        _npm("bull"),
        {
            "server/queues.js": (
                'const Queue = require("bull");\nlet visit;\nif (x) {\n  visit = new Queue("v");\n'
                "  visit.process(6, f);\n}\n"
            )
        },
        "server/queues.js:visit",
        ("server/queues.js",),
    ),
    Case(
        "bullmq",
        _npm("bullmq"),
        {
            "src/queue.ts": (
                'import { Queue as Q } from "bullmq";\nexport const mails = new Q<Mail>("mails");\n'
            ),
            "src/worker.ts": (
                'import { Worker } from "bullmq";\nnew Worker("mails", async () => {});\n'
            ),
        },
        "src/queue.ts:mails",
        ("src/worker.ts",),
    ),
    Case(
        "bullmq",
        _npm("@nestjs/bullmq"),
        {
            "src/app.module.ts": (
                'import { BullModule } from "@nestjs/bullmq";\n'
                "@Module({ imports: [BullModule.forRoot({})] })\nexport class AppModule {}\n"
            ),
            "src/mail.ts": (
                'import { Processor, WorkerHost } from "@nestjs/bullmq";\n'
                '@Processor("mail")\nexport class Mail extends WorkerHost {}\n'
            ),
        },
        "src/app.module.ts",
        ("src/mail.ts",),
        name="nest",
    ),
    Case(
        "agenda",
        _npm("agenda"),
        {
            "src/jobs.js": (
                'import { Agenda } from "agenda";\nconst agenda = new'
                ' Agenda({});\nagenda.define("x", f);\n'
            )
        },
        "src/jobs.js:agenda",
        ("src/jobs.js",),
    ),
    Case(
        "pg-boss",
        _npm("pg-boss"),
        {
            "src/boss.ts": 'import PgBoss from "pg-boss";\nexport const boss = new PgBoss(url);\n',
            "src/work.ts": 'import { boss } from "./boss";\nawait boss.work("mail", f);\n',
        },
        "src/boss.ts:boss",
        ("src/work.ts",),
    ),
    Case(
        "liteque",
        _npm("liteque"),
        {
            "workers/mail.ts": (
                'import { Runner } from "liteque";\nimport { queue } from "../queue";\n\n'
                "const worker = new Runner(queue, { run }, {});\n"
            ),
        },
        "workers/mail.ts:worker",
        ("workers/mail.ts",),
    ),
    Case(
        "custom-queue",
        _pip("fastapi"),
        {
            "shop/routes.py": (
                "from fastapi import BackgroundTasks\n\n"
                "def buy(tasks: BackgroundTasks):\n    tasks.add_task(print)\n"
            ),
        },
        None,
        ("shop/routes.py",),
        name="background tasks of FastAPI",
    ),
    Case(
        "graphile-worker",
        _npm("graphile-worker"),
        {
            "src/run.ts": 'import { run } from "graphile-worker";\nconst runner = await run({});\n',
            "src/tasks/mail.ts": (
                'import type { Task } from "graphile-worker";\nexport const mail: Task = f;\n'
            ),
        },
        "src/run.ts",
        ("src/tasks/mail.ts",),
    ),
    Case(
        "graphile-worker",
        _npm("graphile-worker"),
        {
            "worker/package.json": (
                '{"scripts": {"worker": "env A=\\"b\\" graphile-worker --crontab c"}}'
            ),
            "web/send.ts": (
                'import { makeWorkerUtils } from "graphile-worker";\nconst u ='
                " makeWorkerUtils({});\n"
            ),
        },
        "worker/package.json",
        (),
        "by its command line",
    ),
    Case(
        "inngest",
        _npm("inngest"),
        {
            "src/inngest/client.ts": (
                'import { Inngest } from "inngest";\nexport const inngest = new Inngest({});\n'
            ),
            "src/inngest/mail.ts": (
                'import { inngest } from "./client";\n'
                'export const f = inngest.createFunction({ id: "x" }, { event: "y" }, g);\n'
            ),
        },
        "src/inngest/client.ts:inngest",
        ("src/inngest/mail.ts",),
    ),
    Case(
        "trigger.dev",
        _npm("@trigger.dev/sdk"),
        {
            "trigger.config.ts": (
                'import { defineConfig } from "@trigger.dev/sdk/v3";\nexport default x;\n'
            ),
            "src/trigger/mail.ts": (
                'import { task } from "@trigger.dev/sdk/v3";\nexport const m = task({ id: "m" });\n'
            ),
        },
        "trigger.config.ts",
        ("src/trigger/mail.ts",),
    ),
    Case(
        "node-cron",
        _npm("node-cron"),
        {"src/clock.js": 'import cron from "node-cron";\ncron.schedule("* * * * *", f);\n'},
        "src/clock.js",
        ("src/clock.js",),
    ),
    Case(
        "nestjs-schedule",
        _npm("@nestjs/schedule"),
        {
            "src/app.module.ts": (
                'import { ScheduleModule } from "@nestjs/schedule";\n'
                "@Module({ imports: [ScheduleModule.forRoot()] })\nexport class AppModule {}\n"
            ),
            "src/clean.ts": (
                'import { Cron } from "@nestjs/schedule";\n'
                'export class Clean { @Cron("* * * * *") run() {} }\n'
            ),
        },
        "src/app.module.ts",
        ("src/clean.ts",),
    ),
    Case(
        "sidekiq",
        _gem("sidekiq"),
        {
            "config/initializers/sidekiq.rb": "Sidekiq.configure_server { |c| c.redis = {} }\n",
            "app/sidekiq/mail.rb": "class Mail\n  include Sidekiq::Job\n  def perform; end\nend\n",
        },
        "config/initializers/sidekiq.rb",
        ("app/sidekiq/mail.rb",),
    ),
    Case(
        "good_job",
        _gem("good_job"),
        _adapter("good_job") | _RAILS_JOB,
        "config/application.rb",
        ("app/jobs/mail_job.rb",),
    ),
    Case(
        "solid_queue",
        _gem("solid_queue"),
        _adapter("solid_queue")
        | _RAILS_JOB
        | {"config/queue.yml": "default:\n  dispatchers: []\n"},
        "config/queue.yml",
        ("app/jobs/mail_job.rb",),
    ),
    Case(
        "resque",
        _gem("resque"),
        {
            "config/initializers/resque.rb": "Resque.redis = ENV['REDIS_URL']\n",
            "app/models/order.rb": (
                "class Order\n  def buy\n    Resque.enqueue(Mail, 1)\n  end\nend\n"
            ),
        },
        "config/initializers/resque.rb",
        ("app/models/order.rb",),
    ),
    Case(
        "delayed_job",
        _gem("delayed_job_active_record"),
        {
            "config/initializers/delayed.rb": "Delayed::Worker.max_attempts = 3\n",
            "app/models/order.rb": (
                "class Order\n  def buy; end\n  handle_asynchronously :buy\nend\n"
            ),
        },
        "config/initializers/delayed.rb",
        ("app/models/order.rb",),
    ),
    Case(
        "asynq",
        _go("github.com/hibiken/asynq"),
        {
            "worker/processor.go": (
                'package worker\n\nimport "github.com/hibiken/asynq"\n\n'
                "func New() { s := asynq.NewServer(nil, asynq.Config{}); _ = s }\n"
            )
        },
        "worker/processor.go",
        ("worker/processor.go",),
    ),
    Case(
        "river",
        _go("github.com/riverqueue/river"),
        {
            "jobs/mail.go": (
                'package jobs\n\nimport "github.com/riverqueue/river"\n\n'
                "type Mail struct{ river.WorkerDefaults[Args] }\n\n"
                "func Run() { c, _ := river.NewClient(driver, &river.Config{}); _ = c }\n"
            )
        },
        "jobs/mail.go",
        ("jobs/mail.go",),
    ),
    Case(
        "machinery",
        _go("github.com/RichardKnop/machinery/v2"),
        {
            "queue/server.go": (
                'package queue\n\nimport "github.com/RichardKnop/machinery/v2"\n\n'
                'func Run() { s := machinery.NewServer(nil); s.RegisterTask("x", f) }\n'
            )
        },
        "queue/server.go",
        ("queue/server.go",),
    ),
    Case(
        "quartz",
        _maven("org.quartz-scheduler", "quartz"),
        {
            "src/main/java/Clock.java": (
                "import org.quartz.impl.StdSchedulerFactory;\n"
                "class Clock { void go() { StdSchedulerFactory.getDefaultScheduler(); } }\n"
            ),
            "src/main/java/Mail.java": "import org.quartz.*;\nclass Mail implements Job { }\n",
        },
        "src/main/java/Clock.java",
        ("src/main/java/Mail.java",),
    ),
    Case(
        "spring-scheduled",
        _maven("org.springframework.boot", "spring-boot-starter"),
        {
            "src/main/java/App.java": (
                "import org.springframework.scheduling.annotation.EnableScheduling;\n"
                "@EnableScheduling\nclass App { }\n"
            ),
            "src/main/kotlin/Clean.kt": (
                "import org.springframework.scheduling.annotation.Scheduled\n"
                'class Clean {\n  @Scheduled(cron = "x")\n  fun run() { }\n}\n'
            ),
        },
        "src/main/java/App.java",
        ("src/main/kotlin/Clean.kt",),
    ),
    Case(
        "jobrunr",
        {
            "build.gradle": (
                "dependencies {\n  implementation"
                " 'org.jobrunr:jobrunr-spring-boot-3-starter:7.0'\n}\n"
            )
        },
        {
            "src/main/resources/application.properties": (
                "org.jobrunr.background-job-server.enabled=true\n"
            ),
            "src/main/java/Mail.java": (
                "import org.jobrunr.jobs.annotations.Job;\n"
                'class Mail { @Job(name = "x") void run() { } }\n'
            ),
        },
        "src/main/resources/application.properties",
        ("src/main/java/Mail.java",),
    ),
    Case(
        "laravel-queue",
        {"composer.json": '{"require": {"laravel/framework": "^11"}}'},
        {
            "config/horizon.php": "<?php return [];\n",
            "app/Jobs/Mail.php": (
                "<?php\nuse Illuminate\\Contracts\\Queue\\ShouldQueue;\n"
                "class Mail implements ShouldQueue { }\n"
            ),
        },
        "config/horizon.php",
        ("app/Jobs/Mail.php",),
    ),
    Case(
        "oban",
        {"mix.exs": 'defmodule Shop do\n  defp deps, do: [{:oban, "~> 2.2"}]\nend\n'},
        {
            "config/config.exs": "import Config\nconfig :shop, Oban, repo: Shop.Repo\n",
            "lib/mail.ex": "defmodule Mail do\n  use Oban.Worker, queue: :mail\nend\n",
        },
        "config/config.exs",
        ("lib/mail.ex",),
    ),
    Case(
        "hangfire",
        _nuget("Hangfire.AspNetCore"),
        {
            "Shop/Program.cs": "using Hangfire;\nbuilder.Services.AddHangfireServer();\n",
            "Shop/Mail.cs": (
                "using Hangfire;\nclass Mail { void Go() { BackgroundJob.Enqueue(() => F()); } }\n"
            ),
        },
        "Shop/Program.cs",
        ("Shop/Mail.cs",),
    ),
    Case(
        "hangfire",
        _nuget("Hangfire.AspNetCore"),
        {
            "Shop/Program.cs": "using Hangfire;\nbuilder.Services.AddHangfireServer();\n",
            "Shop/Jobs.cs": (
                "using Hangfire;\nclass Jobs { void Go(IRecurringJobManager recurringJobManager) "
                '{ recurringJobManager.AddOrUpdate<Mail>("mail", j => j.Go(), "* * * * *"); } }\n'
            ),
        },
        "Shop/Program.cs",
        ("Shop/Jobs.cs",),
        "by its manager",
    ),
    Case(
        "quartz.net",
        {
            "Directory.Packages.props": (
                '<Project><ItemGroup><PackageVersion Include="Quartz" /></ItemGroup></Project>'
            )
        },
        {
            "Shop/Program.cs": "using Quartz;\nbuilder.Services.AddQuartzHostedService();\n",
            "Shop/Mail.cs": "using Quartz;\nclass Mail : IJob { }\n",
        },
        "Shop/Program.cs",
        ("Shop/Mail.cs",),
    ),
    Case(
        "apalis",
        {"Cargo.toml": '[dependencies]\napalis = { version = "0.6" }\napalis-redis = "0.6"\n'},
        {
            "src/main.rs": (
                "use apalis::prelude::*;\nfn main() { let m = Monitor::new(); "
                'let w = WorkerBuilder::new("x"); }\n'
            )
        },
        "src/main.rs",
        ("src/main.rs",),
    ),
    Case(
        "azure-functions",
        _nuget("Microsoft.Azure.Functions.Worker"),
        {
            "Shop/Mail.cs": (
                "using Microsoft.Azure.Functions.Worker;\nclass Mail {\n"
                '    [Function("Mail")] public void Run([ServiceBusTrigger("mail")] string m) { }\n}\n'
            )
        },
        None,
        ("Shop/Mail.cs",),
    ),
    Case(
        "custom-queue",
        _pip("django"),
        {
            "shop/daemon.py": (
                "from multiprocessing import Process, Queue\n\nclass Daemon(Process):\n"
                "    def __init__(self, queue: Queue) -> None: ...\n"
            )
        },
        "shop/daemon.py",
        ("shop/daemon.py",),
    ),
)
