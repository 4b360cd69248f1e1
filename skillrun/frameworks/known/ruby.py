"""Ruby's job libraries that are only recognised."""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

_ACTIVE_JOB = (b"ApplicationJob", b"ActiveJob::Base", b"queue_adapter")
_JOBS = ("base ApplicationJob", "base ActiveJob::Base")


def _name_adapter_setting(name: str) -> tuple[str, ...]:
    """The setting that makes Active Job use a library, for the application or for one job."""
    return (f"set *queue_adapter=:{name}", f"call *queue_adapter=:{name}")


_CLOCKS = {
    "dep whenever": "whenever",
    "dep clockwork": "clockwork",
    "dep rufus-scheduler": "rufus-scheduler",
}

RUBY = (
    Known(
        id="sidekiq",
        title="Sidekiq",
        language="ruby",
        distributions=("sidekiq", "sidekiq-pro", "sidekiq-ent", "govuk_sidekiq", "govuk-sidekiq"),
        modules=("sidekiq", "sidekiq/*"),
        words=(b"idekiq", *_ACTIVE_JOB),
        apps=("call Sidekiq.configure_server", "call Sidekiq.configure_client"),
        places=("file *config/sidekiq.yml*", "set *queue_adapter=:sidekiq"),
        tasks=("base Sidekiq::Worker", "base Sidekiq::Job", "base *Sidekiq::*Worker"),
        follows=_JOBS,
        sends=(*_name_adapter_setting("sidekiq"), "file *config/sidekiq.yml*"),
        schedules={
            "dep sidekiq-scheduler": "sidekiq-scheduler",
            "dep sidekiq-cron": "sidekiq-cron",
            "dep govuk-sidekiq": "sidekiq-scheduler",
            **_CLOCKS,
        },
        broker="redis",
        starts=("sidekiq",),
        own="lib/sidekiq/launcher.rb",
        configs=("sidekiq.yml", "sidekiq.yml.erb"),
    ),
    Known(
        id="good_job",
        title="GoodJob",
        language="ruby",
        distributions=("good-job",),
        modules=("good_job",),
        words=(b"good_job", b"GoodJob", *_ACTIVE_JOB),
        apps=("set *good_job*", "set GoodJob.*", "call GoodJob.configure*"),
        places=_name_adapter_setting("good_job"),
        tasks=("base GoodJob::*",),
        follows=_JOBS,
        sends=_name_adapter_setting("good_job"),
        schedules={
            "set *good_job.cron=*": "good_job cron",
            "set *good_job.enable_cron=*": "good_job cron",
            **_CLOCKS,
        },
        broker="postgres",
        starts=("good_job start",),
        own="lib/good_job/scheduler.rb",
    ),
    Known(
        id="solid_queue",
        title="Solid Queue",
        language="ruby",
        distributions=("solid-queue",),
        modules=("solid_queue",),
        words=(
            b"solid_queue",
            b"SolidQueue",
            b"config/queue.yml",
            b"config/recurring.yml",
            *_ACTIVE_JOB,
        ),
        places=(
            "file *config/queue.yml",
            "file *config/solid_queue.yml",
            *_name_adapter_setting("solid_queue"),
        ),
        follows=_JOBS,
        sends=(*_name_adapter_setting("solid_queue"), "set *solid_queue.*", "set SolidQueue.*"),
        schedules={"file *config/recurring.yml": "solid_queue recurring", **_CLOCKS},
        brokers={
            "dep pg": "postgres",
            "dep mysql2": "mysql",
            "dep trilogy": "mysql",
            "dep sqlite3": "sqlite",
        },
        starts=("jobs start",),
        own="lib/solid_queue/dispatcher.rb",
        configs=("queue.yml", "recurring.yml", "solid_queue.yml"),
    ),
    Known(
        id="resque",
        title="Resque",
        language="ruby",
        distributions=("resque",),
        modules=("resque", "resque/*"),
        words=(b"esque", *_ACTIVE_JOB),
        apps=("set Resque.*", "call Resque.configure"),
        places=("file *config/resque.yml", *_name_adapter_setting("resque")),
        tasks=("call Resque.enqueue*",),
        follows=_JOBS,
        sends=(*_name_adapter_setting("resque"), "call Resque::*"),
        schedules={"dep resque-scheduler": "resque-scheduler", **_CLOCKS},
        broker="redis",
        starts=("resque:work",),
        own="lib/resque/worker.rb",
        configs=("resque.yml",),
    ),
    Known(
        id="delayed_job",
        title="Delayed Job",
        language="ruby",
        distributions=("delayed-job", "delayed-job-active-record", "delayed-job-mongoid"),
        modules=("delayed_job", "delayed/*"),
        words=(b"elayed", b"handle_asynchronously", b".delay", *_ACTIVE_JOB),
        apps=("set Delayed::Worker.*",),
        places=_name_adapter_setting("delayed_job"),
        tasks=("call handle_asynchronously", "call Delayed::Job.enqueue"),
        follows=_JOBS,
        sends=(*_name_adapter_setting("delayed_job"), "call Delayed::*"),
        schedules={**_CLOCKS},
        brokers={
            "dep pg": "postgres",
            "dep mysql2": "mysql",
            "dep sqlite3": "sqlite",
            "dep delayed-job-mongoid": "mongodb",
        },
        starts=("delayed_job",),
        own="lib/delayed/worker.rb",
    ),
)
