"""The JVM's job libraries that are only recognised."""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

JVM = (
    Known(
        id="quartz",
        title="Quartz",
        language="jvm",
        distributions=(
            "*:quartz",
            "*:spring-boot-starter-quartz",
            "*:quarkus-quartz",
            "*:micronaut-quartz",
        ),
        modules=("org.quartz*", "org.springframework.scheduling.quartz*"),
        words=(b"org.quartz", b"scheduling.quartz"),
        apps=(
            "call org.springframework.scheduling.quartz.SchedulerFactoryBean",
            "call org.quartz.impl.StdSchedulerFactory*",
            "call org.quartz.JobBuilder.newJob",
            "import org.quartz.Scheduler",
        ),
        tasks=("base org.quartz.*Job", "base org.springframework.scheduling.quartz.QuartzJobBean"),
        sends=("call org.quartz.JobBuilder.*", "call org.quartz.TriggerBuilder.*"),
        schedules={"call org.quartz.*": "quartz", "base org.quartz.*Job": "quartz"},
        own="quartz/src/main/java/org/quartz/Job.java",
    ),
    Known(
        id="spring-scheduled",
        title="Spring's @Scheduled",
        language="jvm",
        distributions=("org.springframework*:*",),
        modules=("org.springframework.scheduling.annotation*",),
        words=(b"scheduling.annotation", b"@Scheduled"),
        apps=("mark org.springframework.scheduling.annotation.EnableScheduling",),
        tasks=("mark org.springframework.scheduling.annotation.Scheduled",),
        schedules={"mark org.springframework.scheduling.annotation.Scheduled": "spring"},
        broker="in-process",
        own="spring-context/src/main/java/org/springframework/scheduling/annotation/Scheduled.java",
    ),
    Known(
        id="jobrunr",
        title="JobRunr",
        language="jvm",
        distributions=("org.jobrunr*:*",),
        modules=("org.jobrunr*",),
        words=(b"jobrunr",),
        apps=("call org.jobrunr.configuration.JobRunr.configure*",),
        places=("file *application*.properties", "file *application*.y*ml"),
        tasks=(
            "mark org.jobrunr.jobs.annotations.*",
            "base org.jobrunr.jobs.lambdas.*",
            "call org.jobrunr.scheduling.BackgroundJob*",
            "import org.jobrunr.scheduling.JobScheduler",
            "import org.jobrunr.scheduling.JobRequestScheduler",
        ),
        schedules={
            "mark org.jobrunr.jobs.annotations.Recurring": "jobrunr",
            "call org.jobrunr.scheduling.BackgroundJob.scheduleRecurrently": "jobrunr",
            "call *.scheduleRecurrently": "jobrunr",
        },
        own="core/src/main/java/org/jobrunr/jobs/Job.java",
        configs=("application.properties", "application.yml", "application.yaml"),
    ),
)
