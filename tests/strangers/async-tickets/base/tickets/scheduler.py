from taskiq import TaskiqScheduler

from .broker import broker, schedule

scheduler = TaskiqScheduler(broker, sources=[schedule] if schedule else [])
