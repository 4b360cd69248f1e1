""".NET's job libraries that are only recognised."""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

DOTNET = (
    Known(
        id="hangfire",
        title="Hangfire",
        language="dotnet",
        distributions=("hangfire", "hangfire.*"),
        modules=("Hangfire*",),
        words=(b"Hangfire", b"BackgroundJob", b"RecurringJob"),
        apps=(
            "call *.AddHangfireServer",
            "call *.UseHangfireServer",
            "call *.AddHangfire",
            "call *.UseHangfireDashboard",
        ),
        tasks=(
            "call Hangfire.BackgroundJob.*",
            "call Hangfire.RecurringJob.*",
            "call *ecurringJobManager.AddOrUpdate",
            "mark Hangfire.AutomaticRetry",
            "mark Hangfire.Queue",
            "mark Hangfire.DisableConcurrentExecution",
        ),
        sends=("call Hangfire.BackgroundJobServer",),
        schedules={
            "call Hangfire.RecurringJob.*": "hangfire",
            "call *ecurringJob*.AddOrUpdate": "hangfire",
        },
        brokers={
            "dep hangfire.postgresql": "postgres",
            "dep hangfire.sqlserver": "sqlserver",
            "dep hangfire.mysql*": "mysql",
            "dep hangfire.*sqlite*": "sqlite",
            "dep hangfire.*redis*": "redis",
            "dep hangfire.mongo": "mongodb",
            "dep hangfire.*memory*": "memory",
        },
        own="src/Hangfire.Core/BackgroundJob.cs",
    ),
    Known(
        id="quartz.net",
        title="Quartz.NET",
        language="dotnet",
        distributions=("quartz", "quartz.*"),
        modules=("Quartz*",),
        words=(b"Quartz",),
        apps=(
            "call *.AddQuartzHostedService",
            "call *.AddQuartz",
            "call *.AddQuartzServer",
            "call Quartz.*.StdSchedulerFactory",
        ),
        tasks=("base Quartz.IJob", "mark Quartz.DisallowConcurrentExecution"),
        sends=("call Quartz.JobBuilder.*", "call Quartz.TriggerBuilder.*"),
        schedules={"call Quartz.*": "quartz.net", "base Quartz.IJob": "quartz.net"},
        own="src/Quartz/IJob.cs",
    ),
)
