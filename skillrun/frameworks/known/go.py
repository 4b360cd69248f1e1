"""Go's job libraries that are only recognised."""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

# A ticker alone may flush a buffer; in a package that is named for periodic work, it is what starts
# that work.
_TICKERS = tuple(
    f"call time.NewTicker in */{name}/*"
    for name in ("cron*", "sync", "syncer*", "poller*", "scheduler*", "periodic*")
)

GO = (
    Known(
        id="asynq",
        title="Asynq",
        language="go",
        distributions=("github.com/hibiken/asynq",),
        modules=("github.com/hibiken/asynq*",),
        words=(b"hibiken/asynq",),
        apps=("call github.com/hibiken/asynq.NewServer", "call github.com/hibiken/asynq.NewClient"),
        tasks=("call github.com/hibiken/asynq.*", "type github.com/hibiken/asynq.*"),
        schedules={
            "call github.com/hibiken/asynq.NewScheduler": "asynq scheduler",
            "call github.com/hibiken/asynq.NewPeriodicTaskManager": "asynq scheduler",
        },
        broker="redis",
        own="asynq.go",
    ),
    Known(
        id="river",
        title="River",
        language="go",
        distributions=("github.com/riverqueue/river*", "riverqueue.com/riverpro*"),
        modules=("github.com/riverqueue/river*", "riverqueue.com/*"),
        words=(b"riverqueue",),
        apps=(
            "call github.com/riverqueue/river.NewClient",
            "call riverqueue.com/riverpro.NewClient",
        ),
        tasks=(
            "type github.com/riverqueue/river.WorkerDefaults",
            "type github.com/riverqueue/river.Job",
            "call github.com/riverqueue/river.AddWorker*",
        ),
        sends=("call github.com/riverqueue/river.NewWorkers",),
        schedules={"call github.com/riverqueue/river.NewPeriodicJob": "river periodic"},
        broker="postgres",
        own="insert_opts.go",
    ),
    Known(
        id="machinery",
        title="Machinery",
        language="go",
        distributions=("github.com/richardknop/machinery*",),
        modules=("github.com/RichardKnop/machinery*",),
        words=(b"RichardKnop/machinery",),
        apps=("call github.com/RichardKnop/machinery*.NewServer*",),
        tasks=(
            "call *.RegisterTask*",
            "call *.RegisterPeriodicTask*",
            "type github.com/RichardKnop/machinery/*.Signature",
        ),
        schedules={"call *.RegisterPeriodicTask*": "machinery"},
        own="v1/server.go",
    ),
    Known(
        id="temporal",
        title="Temporal",
        language="go",
        distributions=("go.temporal.io/sdk",),
        modules=("go.temporal.io/sdk*",),
        words=(b"go.temporal.io/sdk",),
        apps=("call go.temporal.io/sdk/worker.New",),
        tasks=(
            "type go.temporal.io/sdk/workflow.Context",
            "call go.temporal.io/sdk/workflow.ExecuteActivity",
        ),
        sends=("call go.temporal.io/sdk/client.*",),
        broker="temporal",
        own="internal/internal_worker.go",
    ),
    Known(
        id="plain-cron",
        title="a timer in the process",
        language="go",
        distributions=("github.com/robfig/cron*", "github.com/go-co-op/gocron*"),
        modules=("github.com/robfig/cron*", "github.com/go-co-op/gocron*"),
        words=(b"robfig/cron", b"go-co-op/gocron", b"time.NewTicker("),
        tasks=(
            "call github.com/robfig/cron*.New*",
            "call github.com/go-co-op/gocron*.NewScheduler",
        ),
        builtin=_TICKERS,
        schedules={
            "call github.com/robfig/cron*": "robfig/cron",
            "call github.com/go-co-op/gocron*": "gocron",
            **dict.fromkeys(_TICKERS, "time.Ticker"),
        },
        own="cron.go",
    ),
)
