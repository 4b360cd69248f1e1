"""What is read for certain of Sidekiq's and BullMQ's options, what is not, and what the stages make
of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import foreign_repos
import helpers
import pytest
import shops

from skillrun.frameworks.known.options.job_options import (
    Attempts,
    Failed,
    JobOptions,
    NamedHandler,
    NotUnderstood,
    Waits,
)
from skillrun.frameworks.known.options.of_bullmq import read_bullmq
from skillrun.frameworks.known.options.of_sidekiq import read_sidekiq
from skillrun.repo.tree import Tree
from skillrun.repo.uses import Place

JOB = "app/jobs/charge_job.rb"
PLAIN = "class ChargeJob\n  include Sidekiq::Job\n  {}\n  def perform(id)\n  end\nend\n"


def read_ruby(root: Path, text: str, **others: str) -> JobOptions:
    """Of a job class, with further files (`model=...`) and a Gemfile."""
    files: dict[str, Any] = {JOB: text, "Gemfile": 'gem "sidekiq"\n'}
    for name, content in others.items():
        files[f"app/{name}.rb"] = content
    tree = Tree(helpers.build_tree(root, files))
    return read_sidekiq(tree, NamedHandler(Place(JOB, 1), ("ChargeJob",)))


@pytest.mark.parametrize(
    ("line", "attempts"),
    [
        ("sidekiq_options retry: 5", 6),
        ('sidekiq_options queue: "payments", :retry => 5', 6),
        ("sidekiq_options({ 'retry' => 1_0 })", 11),
        ("sidekiq_options retry: false", 1),
        ("sidekiq_options retry: 0", 1),
        ("sidekiq_options retry: true", 26),
        ("sidekiq_options queue: :default", 26),
        ("", 26),
        ("sidekiq_options retry: 3\n  sidekiq_options queue: :low", 4),
    ],
)
def test_sidekiqs_attempts_are_read(tmp_path: Path, line: str, attempts: int) -> None:
    read = read_ruby(tmp_path / "repo", PLAIN.replace("{}", line))
    assert isinstance(read.attempts, Attempts), read.attempts
    assert read.attempts.most == attempts


@pytest.mark.parametrize(
    "number", ["0x5", "0b11", "010", "0d9", "10_001", "99999999999", "9" * 5000]
)
def test_a_number_of_retries_that_is_no_usual_one_is_not_read(tmp_path: Path, number: str) -> None:
    read = read_ruby(tmp_path / "repo", PLAIN.replace("{}", f"sidekiq_options retry: {number}"))
    for part in (read.attempts, read.waits):
        assert isinstance(part, NotUnderstood)
        assert part.because == "retry is no usual number"


@pytest.mark.parametrize(
    ("text", "others"),
    [
        (PLAIN.replace("{}", "sidekiq_options retry: RETRIES"), {}),
        (PLAIN.replace("{}", "sidekiq_options **SETTINGS"), {}),
        (PLAIN.replace("{}", "sidekiq_options SETTINGS"), {}),
        (PLAIN.replace("{}", "include Payments::Retrying"), {}),
        (PLAIN.replace("ChargeJob", "ChargeJob < BaseJob").replace("{}", ""), {}),
        ("class ChargeJob < ApplicationJob\n  def perform(id) = nil\nend\n", {}),
        ("class ChargeJob\n  include Sidekiq::Job\n  def perform(\n", {}),
        (PLAIN.replace("{}", ""), {"sidekiq": "Sidekiq.default_job_options = { retry: 2 }\n"}),
        (PLAIN.replace("{}", ""), {"sidekiq": "Sidekiq.configure { |c| c[:max_retries] = 2 }\n"}),
        (PLAIN.replace("{}", ""), {"sender": "ChargeJob.set(retry: 1).perform_async(7)\n"}),
        (PLAIN.replace("{}", ""), {"sender": "ChargeJob.set(options).perform_async(7)\n"}),
    ],
)
def test_what_may_hide_sidekiqs_retry_is_not_read(
    tmp_path: Path, text: str, others: dict[str, str]
) -> None:
    read = read_ruby(tmp_path / "repo", text, **others)
    assert isinstance(read.attempts, NotUnderstood)


def test_a_module_of_the_repository_is_followed(tmp_path: Path) -> None:
    job = PLAIN.replace("{}", "include Naming\n  sidekiq_options retry: 3")
    harmless = (
        "module Naming\n  def self.included(base) = base.extend(ClassMethods)\n"
        "  module ClassMethods\n    def name_of(id) = id\n  end\nend\n"
    )
    assert isinstance(read_ruby(tmp_path / "read", job, naming=harmless).attempts, Attempts)
    for number, text in enumerate(
        (
            "module Naming\n  def self.included(job) = job.sidekiq_options(retry: 1)\nend\n",
            "module Naming\n  include Retrying\nend\n",
            "# nothing here\n",
        )
    ):
        read = read_ruby(tmp_path / f"hidden{number}", job, naming=text)
        assert isinstance(read.attempts, NotUnderstood)


def test_a_max_retries_of_another_library_changes_nothing(tmp_path: Path) -> None:
    http = "Faraday.new { |http| http.request :retry, max_retries: 3 }\n"
    read = read_ruby(tmp_path / "repo", PLAIN.replace("{}", ""), http=http)
    assert isinstance(read.attempts, Attempts)


@pytest.mark.parametrize(
    ("line", "is_kept"),
    [
        ("sidekiq_options retry: 3", True),
        ("sidekiq_options retry: 3, dead: true", True),
        ("sidekiq_options retry: 0", True),
        ("sidekiq_options retry: 3, dead: false", False),
        ("sidekiq_options retry: false", False),
    ],
)
def test_whether_sidekiq_keeps_a_dead_job_is_read(tmp_path: Path, line: str, is_kept: bool) -> None:
    failed = read_ruby(tmp_path / "repo", PLAIN.replace("{}", line)).failed
    assert isinstance(failed, Failed)
    assert failed.is_kept is is_kept


def test_sidekiqs_own_waits_are_added_up_and_a_block_of_its_own_is_not_read(tmp_path: Path) -> None:
    waits = read_ruby(tmp_path / "own", PLAIN.replace("{}", "sidekiq_options retry: 3")).waits
    assert isinstance(waits, Waits)
    assert (waits.backoff, waits.retries, waits.least_s) == (None, 3, 62.0)
    block = "sidekiq_retry_in { |count| 10 * count }"
    assert isinstance(
        read_ruby(tmp_path / "block", PLAIN.replace("{}", block)).waits, NotUnderstood
    )


@pytest.mark.parametrize(
    ("option", "gems", "rule"),
    [
        ("unique_for: 10.minutes", 'gem "sidekiq"', "idempotency.unique-option-unread"),
        ("unique_for: 10.minutes", 'gem "sidekiq-ent"', "idempotency.unique-option"),
        ("lock: :until_executed", 'gem "sidekiq-unique-jobs"', "idempotency.unique-option"),
        ("lock: :until_executed", 'gem "sidekiq-ent"', "idempotency.unique-option-unread"),
    ],
)
def test_an_option_of_uniqueness_needs_its_gem(
    tmp_path: Path, option: str, gems: str, rule: str
) -> None:
    files: dict[str, Any] = {JOB: PLAIN.replace("{}", f"sidekiq_options {option}"), "Gemfile": gems}
    tree = Tree(helpers.build_tree(tmp_path / "repo", files))
    read = read_sidekiq(tree, NamedHandler(Place(JOB, 1), ("ChargeJob",)))
    assert [finding.rule for finding in read.of_uniqueness] == [rule]


ORDER = "class Order < ApplicationRecord\n  {}\nend\n"
PUSH = "ChargeJob.perform_async(id)"


@pytest.mark.parametrize(
    "line",
    [
        f"def pay = Order.transaction do {PUSH} end",
        f"def pay\n    ActiveRecord::Base.transaction {{ save!; {PUSH} }}\n  end",
        f"def pay\n    with_it.with_lock do\n      {PUSH}\n    end\n  end",
        f"after_create {{ {PUSH} }}",
        f"after_save :enqueue\n  def enqueue\n    {PUSH} if paid?\n  end",
        "def pay = Order.transaction { ChargeJob.set(queue: :low).perform_in(5, id) }",
        f"def pay\n    Order.transaction do\n      items.each {{ {PUSH} }}\n    end\n  end",
    ],
)
def test_a_push_inside_a_transaction_is_found(tmp_path: Path, line: str) -> None:
    read = read_ruby(tmp_path / "repo", PLAIN.replace("{}", ""), order=ORDER.replace("{}", line))
    assert [one.severity for one in read.of_publishers] == ["error"]


@pytest.mark.parametrize(
    "line",
    [
        f"after_commit {{ {PUSH} }}",
        f"after_create_commit :enqueue\n  def enqueue\n    {PUSH}\n  end",
        f"def pay\n    Order.transaction {{ save! }}\n    {PUSH}\n  end",
        f"def pay\n    Order.transaction do\n      after_commit {{ {PUSH} }}\n    end\n  end",
        f"def pay\n    Order.transaction do\n      add_hook(-> {{ {PUSH} }})\n    end\n  end",
        f"def pay = ledger.transaction {{ {PUSH} }}",
        "def pay = Order.transaction { OtherJob.perform_async(id) }",
        "def pay = Order.transaction { Admin::ChargeJob.perform_async(id) }",
        f"def pay = Sentry.transaction {{ {PUSH} }}",
        f"def pay = Ledger.transaction {{ {PUSH} }}\n  class Ledger < Struct.new(:id)\n  end",
        f'def pay = RedisMutex.with_lock("k") {{ {PUSH} }}',
        f'def pay = mutex.with_lock("k") {{ {PUSH} }}',
        f"def pay = mutex.with_lock(key) {{ {PUSH} }}",
    ],
)
def test_a_push_that_waits_or_is_in_no_transaction_is_none(tmp_path: Path, line: str) -> None:
    read = read_ruby(tmp_path / "repo", PLAIN.replace("{}", ""), order=ORDER.replace("{}", line))
    assert read.of_publishers == ()


ADMIN = "module Admin\n  class ChargeJob\n    include Sidekiq::Job\n    def perform(id) = nil\n  end\nend\n"


def test_a_push_is_of_the_class_that_its_constant_means_there(tmp_path: Path) -> None:
    job = PLAIN.replace("{}", "")
    push = f"class Order < ApplicationRecord\n  after_create {{ {PUSH} }}\nend\n"
    inside = f"module Admin\n{push}end\n"
    whole = inside.replace(PUSH, f"::{PUSH}")
    told = {"outside": (push, 1), "inside": (inside, 0), "whole": (whole, 1)}
    for name, (order, number) in told.items():
        read = read_ruby(tmp_path / name, job, order=order, admin=ADMIN)
        assert len(read.of_publishers) == number, name
    files: dict[str, Any] = {JOB: job + ADMIN, "app/order.rb": inside}
    tree = Tree(helpers.build_tree(tmp_path / "admin", files))
    named = NamedHandler(Place(JOB, 7), ("ChargeJob", "Admin"))
    assert len(read_sidekiq(tree, named).of_publishers) == 1


def test_models_are_followed_to_a_record(tmp_path: Path) -> None:
    pay = f"def pay = Big.transaction {{ {PUSH} }}\n"
    for number, (models, severities) in enumerate(
        (
            ("class Big < Order\nend\nclass Order < ActiveRecord::Base\nend\n", ["error"]),
            ("class Big < Sequel::Model(:big)\nend\n", ["error"]),
            ("class Big < Big\nend\n", []),
            ("class Big\n  def self.transaction = yield\nend\n", []),
            ("", []),
        )
    ):
        job = PLAIN.replace("{}", "")
        read = read_ruby(tmp_path / f"repo{number}", job, models=models, pay=pay)
        assert [one.severity for one in read.of_publishers] == severities, models


def test_pushes_that_sidekiq_itself_holds_back_are_none(tmp_path: Path) -> None:
    order = ORDER.replace("{}", f"after_create {{ {PUSH} }}")
    config = "Sidekiq.transactional_push!\n"
    read = read_ruby(tmp_path / "repo", PLAIN.replace("{}", ""), order=order, config=config)
    assert read.of_publishers == ()


QUEUE = """import { Queue } from "bullmq";
export const mailQueue = new Queue("mail", OPTIONS);
"""
WORKER = """import { Worker, type Job } from "bullmq";
export async function send(job: Job) {}
export const worker = new Worker("mail", send, { connection });
"""
ADD = "import { mailQueue } from './queue';\nexport const go = () => mailQueue.add('a', { id: 1 }JOB);\n"


def read_node(root: Path, queue: str = "{ connection }", job: str = "", **files: str) -> JobOptions:
    """Of a service with a queue, a worker and a call that adds; `files` replaces one of them."""
    texts: dict[str, Any] = {
        "src/queue.ts": QUEUE.replace("OPTIONS", queue),
        "src/worker.ts": WORKER,
        "src/add.ts": ADD.replace("JOB", f", {job}" if job else ""),
    }
    for name, text in files.items():
        texts[f"src/{name}.ts"] = text
    tree = Tree(helpers.build_tree(root, texts))
    return read_bullmq(tree, NamedHandler(Place("src/worker.ts", 2), ("send",)))


BACKOFF = "{ type: 'exponential', delay: 1000 }"


@pytest.mark.parametrize(
    ("queue", "job", "attempts", "backoff"),
    [
        ("{ connection }", "", 1, ("none", 0.0)),
        ("{ connection, defaultJobOptions: { attempts: 5 } }", "", 5, ("none", 0.0)),
        ("{ defaultJobOptions: { attempts: 5, backoff: 2000 } }", "", 5, ("fixed", 2.0)),
        (
            f"{{ defaultJobOptions: {{ attempts: 3, backoff: {BACKOFF} }} }}",
            "",
            3,
            ("exponential", 1.0),
        ),
        ("{ defaultJobOptions: { attempts: 5 } }", "{ attempts: 2 }", 2, ("none", 0.0)),
        ("{ defaultJobOptions: { attempts: 5 } }", "{ backoff: 60 * 1_000 }", 5, ("fixed", 60.0)),
        ("{ defaultJobOptions: { attempts: 5 } as const }", "", 5, ("none", 0.0)),
        ("{ connection }", "{ attempts: 0 }", 1, ("none", 0.0)),
    ],
)
def test_bullmqs_retries_are_read(
    tmp_path: Path, queue: str, job: str, attempts: int, backoff: tuple[str, float]
) -> None:
    read = read_node(tmp_path / "repo", queue, job)
    assert isinstance(read.attempts, Attempts), read.attempts
    assert isinstance(read.waits, Waits), read.waits
    assert read.waits.backoff is not None
    assert read.attempts.most == attempts
    assert (read.waits.backoff.kind, read.waits.backoff.base_s) == backoff


@pytest.mark.parametrize(
    ("queue", "job", "files"),
    [
        ("options", "", {}),
        ("{ ...shared }", "", {}),
        ("{ defaultJobOptions: defaults }", "", {}),
        ("{ defaultJobOptions: { attempts: 5, ...more } }", "", {}),
        ("{ defaultJobOptions: { attempts: Number(process.env.TRIES) } }", "", {}),
        ("{ connection }", "options", {}),
        ("{ connection }", "{ ...options }", {}),
        ("{ connection }", "{ attempts: 3 }", {"other": ADD.replace("JOB", ", { attempts: 4 }")}),
        ("{ connection }", "", {"other": ADD.replace("add('a', { id: 1 }JOB)", "addBulk(jobs)")}),
        ("{ connection }", "", {"add": "export {};\n"}),
        ("{ connection }", "", {"worker": WORKER.replace('"mail"', "NAME")}),
        ("{ connection }", "", {"worker": WORKER.replace("send, {", "other, {")}),
        (
            "{ connection }",
            "",
            {"second": 'import { Queue } from "bullmq";\nnew Queue(NAME);\nconst NAME = x;\n'},
        ),
        ("{ connection }", "", {"second": QUEUE.replace("OPTIONS", "{ connection }")}),
    ],
)
def test_what_may_hide_bullmqs_options_is_not_read(
    tmp_path: Path, queue: str, job: str, files: dict[str, str]
) -> None:
    read = read_node(tmp_path / "repo", queue, job, **files)
    assert isinstance(read.attempts, NotUnderstood)


@pytest.mark.parametrize("number", ["0x5", "010", "2.5", "10_001", "9" * 400, "absent"])
def test_attempts_of_bullmq_that_are_no_usual_number_are_not_read(
    tmp_path: Path, number: str
) -> None:
    assert isinstance(
        read_node(tmp_path / "repo", job=f"{{ attempts: {number} }}").attempts, NotUnderstood
    )


@pytest.mark.parametrize("delay", ["010", "9" * 400, " * ".join(["9" * 40] * 40)])
def test_a_delay_of_bullmq_that_is_no_usual_number_is_not_read(tmp_path: Path, delay: str) -> None:
    for number, backoff in enumerate((delay, f"{{ type: 'fixed', delay: {delay} }}")):
        read = read_node(tmp_path / f"repo{number}", job=f"{{ backoff: {backoff} }}")
        assert isinstance(read.waits, NotUnderstood)


def test_constants_are_followed_where_they_are_declared_once(tmp_path: Path) -> None:
    options = (
        "export const TRIES = 4;\n"
        "export const DEFAULTS = { attempts: TRIES, backoff: 500 } as const;\n"
    )
    queue = "{ ...shared, defaultJobOptions: DEFAULTS }"
    read = read_node(tmp_path / "one", queue, options=options)
    assert read.attempts == Attempts(4, Place("src/options.ts", 1, "4"))
    assert isinstance(read.waits, Waits)
    script = "export const of = (TRIES) => TRIES;\n"
    tree = Tree(
        helpers.build_tree(
            tmp_path / "parameter",
            {
                "src/queue.ts": QUEUE.replace("OPTIONS", queue),
                "src/worker.ts": WORKER,
                "src/add.ts": ADD.replace("JOB", ""),
                "src/options.ts": options,
                "src/script.mjs": script,
            },
        )
    )
    read = read_bullmq(tree, NamedHandler(Place("src/worker.ts", 2), ("send",)))
    assert isinstance(read.attempts, NotUnderstood)
    read = read_node(tmp_path / "two", queue, options=options, other="const TRIES = 5;\n")
    assert isinstance(read.attempts, NotUnderstood)
    queue = "{ defaultJobOptions: DEFAULTS, ...shared }"
    read = read_node(tmp_path / "behind", queue, options=options)
    assert isinstance(read.attempts, NotUnderstood)


def test_a_queues_name_may_be_a_constant(tmp_path: Path) -> None:
    names = "export const MAIL = 'mail' as const;\n"
    queue = 'import { Queue } from "bullmq";\nexport const mailQueue = new Queue(MAIL, { connection });\n'
    worker = WORKER.replace('"mail"', "MAIL")
    files: dict[str, Any] = {
        "src/names.ts": names,
        "src/queue.ts": queue,
        "src/worker.ts": worker,
        "src/add.ts": ADD.replace("JOB", ", { attempts: 4 }"),
    }
    tree = Tree(helpers.build_tree(tmp_path / "one", files))
    read = read_bullmq(tree, NamedHandler(Place("src/worker.ts", 2), ("send",)))
    assert read.attempts == Attempts(4, Place("src/add.ts", 2, "4"))
    files["src/queue.ts"] = queue.replace("MAIL", "QueueName.Mail")
    files["src/worker.ts"] = worker.replace("MAIL", "QueueName.Mail")
    tree = Tree(helpers.build_tree(tmp_path / "enum", files))
    read = read_bullmq(tree, NamedHandler(Place("src/worker.ts", 2), ("send",)))
    assert read.attempts == Attempts(4, Place("src/add.ts", 2, "4"))
    files["src/worker.ts"] = worker.replace("MAIL", "settings.mail")
    tree = Tree(helpers.build_tree(tmp_path / "setting", files))
    read = read_bullmq(tree, NamedHandler(Place("src/worker.ts", 2), ("send",)))
    assert isinstance(read.attempts, NotUnderstood)


@pytest.mark.parametrize(
    ("option", "is_kept"),
    [
        ("", True),
        ("removeOnFail: false", True),
        ("removeOnFail: 5000", True),
        ("removeOnFail: { age: 3600 }", True),
        ("removeOnFail: true", False),
        ("removeOnFail: 0", False),
        ("removeOnFail: { count: 0 }", False),
    ],
)
def test_whether_a_failed_job_stays_is_read(tmp_path: Path, option: str, is_kept: bool) -> None:
    failed = read_node(tmp_path / "job", job=f"{{ {option} }}").failed
    assert isinstance(failed, Failed)
    assert failed.is_kept is is_kept
    worker = WORKER.replace("{ connection }", f"{{ connection, {option} }}")
    failed = read_node(tmp_path / "worker", worker=worker).failed
    assert isinstance(failed, Failed)
    assert failed.is_kept is is_kept


@pytest.mark.parametrize(
    ("job", "rule"),
    [
        ("{ jobId: `welcome-${id}` }", "idempotency.unique-option"),
        ("{ jobId: randomUUID() }", "idempotency.job-id-per-call"),
        ("{ jobId: `mail-${Date.now()}` }", "idempotency.job-id-per-call"),
        ("{ jobId: uuidv4() }", "idempotency.job-id-per-call"),
        ("{ jobId: uuid.v4() }", "idempotency.job-id-per-call"),
        ("{ jobId: nanoid(8) }", "idempotency.job-id-per-call"),
        ("{ jobId: d.uuid }", "idempotency.unique-option"),
        ("{ jobId: uuidv5(d.mail, SPACE) }", "idempotency.unique-option"),
    ],
)
def test_a_job_id_is_told(tmp_path: Path, job: str, rule: str) -> None:
    read = read_node(tmp_path / "repo", job=job)
    assert [finding.rule for finding in read.of_uniqueness] == [rule]


ADDED = "mailQueue.add('a', { id: 1 })"


@pytest.mark.parametrize(
    ("text", "severities"),
    [
        (f"await prisma.$transaction(async (tx) => {{ {ADDED} }});", ["error"]),
        (f"await knex.transaction(async (tx) => {{ await save(); await {ADDED} }});", ["warning"]),
        (f"await prisma.$transaction(async () => {{ ids.map((id) => {ADDED}) }});", ["error"]),
        (f"await prisma.$transaction(async () => {{}}); {ADDED};", []),
        (f"await db.transaction((tx) => {{ tx.afterCommit(() => {ADDED}) }});", []),
        (f"await db.transaction((tx) => {{ const later = () => {ADDED}; keep(later) }});", []),
        (f"await prisma.$transaction(work).then(() => {ADDED});", []),
    ],
)
def test_a_job_that_is_added_inside_a_transaction_is_found(
    tmp_path: Path, text: str, severities: list[str]
) -> None:
    read = read_node(tmp_path / "repo", add=f"export async function go() {{ {text} }}\n")
    assert [finding.severity for finding in read.of_publishers] == severities


OTHER_ADD = "db.$transaction(async () => { await mailQueue.add('b', {}, { attempts: 5 }) });\n"
OTHERS = (
    f"const mailQueue = new Queue('other', {{}});\nexport const go = () => {OTHER_ADD}",
    f"import mailQueue from 'p-queue';\n{OTHER_ADD}",
    f"import {{ mailQueue }} from 'p-queue';\n{OTHER_ADD}",
    f"import {{ other as mailQueue }} from './other';\n{OTHER_ADD}",
    "import { mailQueue as mails } from './queue';\nmails.add('b', {}, { attempts: 5 });\n",
    f"export {{ mailQueue as mails }} from './queue';\n{OTHER_ADD}",
    f"export async function go(mailQueue) {{ {OTHER_ADD} }}",
    f"export async function go({{ mailQueue }}) {{ {OTHER_ADD} }}",
    f"for (const mailQueue of all) {OTHER_ADD}",
    f"all.map(mailQueue => {OTHER_ADD.rstrip().rstrip(';')});",
    f"const {{ mailQueue }} = require('p-queue');\n{OTHER_ADD}",
    f"function mailQueue() {{}}\n{OTHER_ADD}",
    f"class Mails {{ mailQueue = new PQueue(); go() {{ this.{OTHER_ADD} }} }}",
    OTHER_ADD.replace("mailQueue", "this.mailQueue"),
    OTHER_ADD.replace("mailQueue", "services.mailQueue"),
    OTHER_ADD.replace("mailQueue", "services().mailQueue"),
    "import { mailQueue } from './queue';\nconst q = mailQueue;\nq.add('b', {}, { attempts: 5 });\n",
    "import { mailQueue } from './queue';\nmailQueue.add('b', {}, { attempts: 5 }\n",
)


@pytest.mark.parametrize("other", OTHERS)
def test_nothing_is_told_of_a_name_that_means_something_else(tmp_path: Path, other: str) -> None:
    read = read_node(tmp_path / "repo", job="{ attempts: 3 }", other=other)
    assert isinstance(read.attempts, NotUnderstood)
    assert read.of_publishers == ()


@pytest.mark.parametrize(
    "other",
    [
        "import * as queues from './queue';\nqueues.mailQueue.add('b', {}, { attempts: 3 });\n",
        "const queues = require('./queue');\nqueues.mailQueue.add('b', {}, { attempts: 3 });\n",
        "const { mailQueue } = require('./queue');\nmailQueue.add('b', {}, { attempts: 3 });\n",
        "import { mailQueue } from '@/queue';\nawait close([mailQueue], board(mailQueue));\n",
        "export { mailQueue } from './queue';\nexport const settings = { mailQueue: 'mail' };\n",
    ],
)
def test_a_queue_is_known_by_its_name_in_other_files(tmp_path: Path, other: str) -> None:
    read = read_node(tmp_path / "repo", job="{ attempts: 3 }", other=other)
    assert isinstance(read.attempts, Attempts), read.attempts
    assert read.attempts.most == 3


def test_a_queue_may_be_a_field_of_its_class(tmp_path: Path) -> None:
    made = "this.mailQueue = new Queue('mail', { defaultJobOptions: { attempts: 4 } });"
    queue = (
        'import { Queue } from "bullmq";\n'
        f"export class Mails {{ private mailQueue: Queue; constructor() {{ {made} }}\n"
        "  send() { return this.mailQueue.add('a', {}); } }\n"
    )
    tree = Tree(
        helpers.build_tree(tmp_path / "repo", {"src/queue.ts": queue, "src/worker.ts": WORKER})
    )
    read = read_bullmq(tree, NamedHandler(Place("src/worker.ts", 2), ("send",)))
    assert isinstance(read.attempts, Attempts), read.attempts
    assert read.attempts.most == 4


# -- the stages


def stage_of(report: dict[str, Any], name: str) -> dict[str, Any]:
    (stage,) = [one for one in report["stages"] if one["id"] == name]
    return dict(stage)


def run_changed(root: Path, files: dict[str, str], replaced: dict[str, str]) -> dict[str, Any]:
    """The report of a run on the files, with some texts replaced in all of them."""
    changed: dict[str, Any] = {}
    for path, text in files.items():
        for old, new in replaced.items():
            text = text.replace(old, new)
        changed[path] = text
    return shops.report(helpers.build_tree(root, changed), code=3)


@pytest.mark.real
def test_what_contradicts_the_spec_fails_its_stage(tmp_path: Path) -> None:
    replaced = {"max_attempts: 5": "max_attempts: 4", "where: failed": "where: x"}
    report = run_changed(tmp_path / "mails", foreign_repos.MAILS, replaced)
    retry = stage_of(report, "retry")
    assert retry["status"] == "failed"
    wrong = [one for one in retry["findings"] if one["severity"] == "error"]
    assert [one["rule"] for one in wrong] == ["retry.max-attempts-differs"]
    assert "the spec says 4 attempts; the code tries 5 times" in wrong[0]["message"]
    assert (wrong[0]["path"], wrong[0]["line"]) == ("src/queues/mail.ts", 7)


@pytest.mark.real
def test_what_agrees_leaves_the_rest_to_be_attested(tmp_path: Path) -> None:
    report = run_changed(tmp_path / "mails", foreign_repos.MAILS, {})
    retry = stage_of(report, "retry")
    assert retry["status"] == "blocked"
    assert {"retry.read", "retry.unattested"} <= {one["rule"] for one in retry["findings"]}
    unique = stage_of(report, "idempotency")["findings"]
    assert "idempotency.unique-option" in {one["rule"] for one in unique}


@pytest.mark.real
def test_a_job_that_the_library_discards_has_no_dead_letter(tmp_path: Path) -> None:
    replaced = {
        "removeOnComplete: 1000": "removeOnFail: true",
        "{kind: table, where: failed}": "{kind: framework}",
    }
    report = run_changed(tmp_path / "mails", foreign_repos.MAILS, replaced)
    stage = stage_of(report, "dead-letter")
    assert (stage["status"], stage["findings"][0]["rule"]) == ("failed", "dead-letter.discarded")


@pytest.mark.real
def test_sidekiqs_waits_are_held_against_the_acceptable_delay(tmp_path: Path) -> None:
    fine = run_changed(tmp_path / "fine", foreign_repos.BAKERY, {})
    assert stage_of(fine, "retry")["status"] == "blocked"
    replaced = {"retry: 5\n": "retry: 15\n", "max_attempts: 6": "max_attempts: 16"}
    report = run_changed(tmp_path / "long", foreign_repos.BAKERY, replaced)
    rules = {one["rule"] for one in stage_of(report, "retry")["findings"]}
    assert "retry.waits-too-long" in rules
    assert "retry.backoff-differs" not in rules


@pytest.mark.real
def test_a_push_in_a_callback_fails_the_handler(tmp_path: Path) -> None:
    replaced = {"after_commit :enqueue_charge": "after_create :enqueue_charge"}
    report = run_changed(tmp_path / "repo", foreign_repos.BAKERY, replaced)
    stage = stage_of(report, "handler")
    assert stage["status"] == "failed"
    assert stage["findings"][0]["rule"] == "handler.published-in-transaction"
