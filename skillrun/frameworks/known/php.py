"""PHP's job libraries that are only recognised."""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

PHP = (
    Known(
        id="laravel-queue",
        title="Laravel queues",
        language="php",
        distributions=(
            "laravel/framework",
            "laravel/horizon",
            "illuminate/queue",
            "laravel/lumen-framework",
        ),
        modules=("Illuminate\\Contracts\\Queue\\*", "Illuminate\\Bus\\*", "Illuminate\\Queue\\*"),
        words=(
            b"ShouldQueue",
            b"Console\\Scheduling",
            b"Facades\\Schedule",
            b"config/horizon.php",
            b"config/queue.php",
        ),
        places=("file *config/horizon.php", "file *config/queue.php"),
        tasks=("base Illuminate\\Contracts\\Queue\\ShouldQueue*",),
        schedules={
            "call $schedule\\*": "laravel scheduler",
            "call Illuminate\\Support\\Facades\\Schedule\\*": "laravel scheduler",
        },
        brokers={"file *config/horizon.php": "redis"},  # a Redis client alone may be for the cache
        starts=("artisan queue:work",),
        own="src/Illuminate/Queue/Worker.php",
    ),
)
