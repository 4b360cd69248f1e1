"""What Azure Functions starts by a clock or for a message of a queue, in each language.

The trigger is declared beside the function: as a decorator, an annotation, a call, or in a file
`function.json`, which every language may have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from skillrun.frameworks.known.entry import Known

_TIMER = "Azure timerTrigger"
# As kombu names them, so that two libraries on one broker say the same.
_STORAGE = "azurestoragequeues"
_SERVICE_BUS = "azureservicebus"

_FILE = Known(
    id="azure-functions",
    title="Azure Functions with a queue",
    language="python",
    distributions=(),
    modules=(),
    words=(b"timerTrigger", b"queueTrigger", b"serviceBusTrigger"),
    configs=("function.json",),
)
_FILE_TIMER = r"text [\"']type[\"']\s*:\s*[\"']timerTrigger[\"']"
_FILE_QUEUES = {
    r"text [\"']type[\"']\s*:\s*[\"']queueTrigger[\"']": _STORAGE,
    r"text [\"']type[\"']\s*:\s*[\"']serviceBusTrigger[\"']": _SERVICE_BUS,
}

# `app = func.FunctionApp()` and `Blueprint()`, whose methods are the decorators.
_PYTHON = Known(
    id="azure-functions",
    title="Azure Functions with a queue",
    language="python",
    distributions=("azure-functions",),
    modules=("azure.functions*",),
    words=(b"azure.functions",),
)
_PYTHON_TIMERS = (
    "mark azure.functions.*().timer_trigger",
    # What it was called first, and still may be.
    "mark azure.functions.*().schedule",
)
_PYTHON_QUEUES = {
    "mark azure.functions.*().queue_trigger": _STORAGE,
    "mark azure.functions.*().service_bus_queue_trigger": _SERVICE_BUS,
    "mark azure.functions.*().service_bus_topic_trigger": _SERVICE_BUS,
}

_NODE = Known(
    id="azure-functions",
    title="Azure Functions with a queue",
    language="node",
    distributions=("@azure/functions",),
    modules=("@azure/functions*",),
    words=(b"@azure/functions",),
)
_NODE_TIMERS = ("call @azure/functions.app.timer",)
_NODE_QUEUES = {
    "call @azure/functions.app.storageQueue": _STORAGE,
    "call @azure/functions.app.serviceBusQueue": _SERVICE_BUS,
    "call @azure/functions.app.serviceBusTopic": _SERVICE_BUS,
}

_JVM = Known(
    id="azure-functions",
    title="Azure Functions with a queue",
    language="jvm",
    distributions=("com.microsoft.azure.functions:*",),
    modules=("com.microsoft.azure.functions*",),
    words=(b"com.microsoft.azure.functions",),
)
_JVM_TIMERS = ("mark com.microsoft.azure.functions.annotation.TimerTrigger",)
_JVM_QUEUES = {
    "mark com.microsoft.azure.functions.annotation.QueueTrigger": _STORAGE,
    "mark com.microsoft.azure.functions.annotation.ServiceBusQueueTrigger": _SERVICE_BUS,
    "mark com.microsoft.azure.functions.annotation.ServiceBusTopicTrigger": _SERVICE_BUS,
}

# The namespace may be opened for the whole project, so that no file imports it: what is declared
# says that the attributes are Azure's. The two models are the isolated worker and the one in
# process, which has WebJobs below it.
_DOTNET_PACKAGES = (
    "microsoft.azure.functions.*",
    "microsoft.azure.webjobs*",
    "microsoft.net.sdk.functions",
)
_DOTNET = Known(
    id="azure-functions",
    title="Azure Functions with a queue",
    language="dotnet",
    distributions=_DOTNET_PACKAGES,
    modules=("Microsoft.Azure.*",),
    words=(b"TimerTrigger", b"QueueTrigger", b"ServiceBusTrigger"),
    needs=_DOTNET_PACKAGES,
)
_DOTNET_TIMERS = ("mark *TimerTrigger",)
_DOTNET_QUEUES = {
    "mark *QueueTrigger": _STORAGE,
    "mark *ServiceBusTrigger": _SERVICE_BUS,
}


def _clocked(library: Known, marks: Iterable[str]) -> Known:
    """The functions of a library that a timer starts: no queue carries them."""
    return replace(
        library,
        id="plain-cron",
        title="a timer in the process",
        tasks=tuple(marks),
        schedules=dict.fromkeys(marks, _TIMER),
    )


def _queued(library: Known, brokers: Mapping[str, str]) -> Known:
    """The functions of a library that a message starts: by each mark, what carries it."""
    return replace(library, tasks=tuple(brokers), brokers=brokers)


AZURE = (
    replace(_clocked(_FILE, ()), builtin=(_FILE_TIMER,), schedules={_FILE_TIMER: _TIMER}),
    replace(_FILE, builtin=tuple(_FILE_QUEUES), brokers=_FILE_QUEUES),
    _clocked(_PYTHON, _PYTHON_TIMERS),
    _queued(_PYTHON, _PYTHON_QUEUES),
    _clocked(_NODE, _NODE_TIMERS),
    _queued(_NODE, _NODE_QUEUES),
    _clocked(_JVM, _JVM_TIMERS),
    _queued(_JVM, _JVM_QUEUES),
    _clocked(_DOTNET, _DOTNET_TIMERS),
    _queued(_DOTNET, _DOTNET_QUEUES),
)
