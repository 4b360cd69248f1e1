"""A small JavaScript service whose BullMQ worker welcomes a user by mail, once; its specs, and tests
that notice a second mail or do not. The same job in TypeScript and Ruby.
"""

from __future__ import annotations

HANDLER = """
    import { deliver } from "../mailer.js"
    import { alreadySent, markSent } from "../sent.js"

    export async function sendWelcome(job) {
      const { userId } = job.data
      if (!userId) throw new Error("no user")
      if (await alreadySent(userId)) return "already sent"
      await deliver(userId, "welcome", { idempotencyKey: `welcome-${userId}` })
      await markSent(userId)
    }
"""
SENT = """
    const sent = new Set()
    export const alreadySent = async (userId) => sent.has(userId)
    export const markSent = async (userId) => sent.add(userId)
"""
MAILER = """
    export class MailboxUnknown extends Error {}

    export async function deliver(userId, template, { idempotencyKey }) {
      const headers = { "Idempotency-Key": idempotencyKey }
      const body = JSON.stringify({ userId, template })
      const response = await fetch("https://mail.example/messages", { method: "POST", headers, body })
      if (response.status === 404) throw new MailboxUnknown(userId)
    }
"""
WORKER = """
    import { Worker } from "bullmq"
    import { sendWelcome } from "./jobs/mail.js"

    export const worker = new Worker("mail", sendWelcome, { connection: {} })
"""
PREPARED = """
    import assert from "node:assert/strict"
    import test from "node:test"
    import { sendWelcome } from "../src/jobs/mail.js"

    const keys = []
    globalThis.fetch = async (url, { headers }) => {
      keys.push(headers["Idempotency-Key"])
      return { status: 200, ok: true }
    }
"""
ONCE = f"""{PREPARED}
    test("a second delivery sends no second mail", async () => {{
      await sendWelcome({{ data: {{ userId: "7" }} }})
      await sendWelcome({{ data: {{ userId: "7" }} }})
      assert.equal(keys.length, 1)
    }})
"""
CANNOT_FAIL = f"""{PREPARED}
    test("a second delivery is accepted", async () => {{
      await sendWelcome({{ data: {{ userId: "7" }} }})
      await sendWelcome({{ data: {{ userId: "7" }} }})
      assert.ok(keys.length > 0)
    }})
"""
ONE_DELIVERY = f"""{PREPARED}
    test("a mail is sent", async () => {{
      await sendWelcome({{ data: {{ userId: "7" }} }})
      assert.equal(keys.length, 1)
    }})
"""
OTHER_JOBS = f"""{PREPARED}
    test("two users get two mails", async () => {{
      await sendWelcome({{ data: {{ userId: "7" }} }})
      await sendWelcome({{ data: {{ userId: "8" }} }})
      assert.equal(keys.length, 2)
    }})
"""
NOT_REACHED = """
    import assert from "node:assert/strict"
    import test from "node:test"

    test("two and two", () => {
      assert.equal(2 + 2, 4)
    })
"""
RED = ONCE.replace("keys.length, 1", "keys.length, 2")
TWO_TESTS = f"""{ONCE}
    test("two and two", () => {{
      assert.equal(2 + 2, 4)
    }})
"""
NO_USER = f"""{PREPARED}
    test("a user gets a mail, and nobody gets none", async () => {{
      await sendWelcome({{ data: {{ userId: "7" }} }})
      await assert.rejects(sendWelcome({{ data: {{ userId: "" }} }}))
      assert.equal(keys.length, 1)
    }})
"""
TRIED_AGAIN = f"""{PREPARED}
    test("a mail that is refused is tried again", async () => {{
      const sends = globalThis.fetch
      globalThis.fetch = async (...given) => {{ await sends(...given); throw new TypeError("down") }}
      await assert.rejects(sendWelcome({{ data: {{ userId: "7" }} }}))
      globalThis.fetch = sends
      await sendWelcome({{ data: {{ userId: "7" }} }})
      assert.deepEqual(keys, KEYS)
    }})
"""
ONE_KEY = TRIED_AGAIN.replace("KEYS", '["welcome-7", "welcome-7"]')
SAME_KEY = TRIED_AGAIN.replace("keys, KEYS", "keys[0], keys[1]")
ANY_KEY = TRIED_AGAIN.replace("deepEqual(keys, KEYS)", "ok(keys[1])")
NO_GUARD = HANDLER.replace('if (await alreadySent(userId)) return "already sent"', "")
# The mail is guarded, and the charge before it is not.
CHARGING = HANDLER.replace("import { deliver }", "import { charge, deliver }").replace(
    "if (await alreadySent", "await charge(userId)\n      if (await alreadySent"
)
CHARGED_BEHIND = CHARGING.replace("await charge(userId)\n", "").replace(
    "await deliver", "await charge(userId)\n      await deliver"
)
CHARGER = f"""{MAILER}
    export const charge = async (userId) => userId
"""
# It remembers nothing, and the store's stand-in says that it does.
NO_MARK = HANDLER.replace("await markSent(userId)", "")
STORE = """
    export const alreadySent = async (userId) => globalThis.store.has(userId)
    export const markSent = async (userId) => globalThis.store.add(userId)
"""
ANSWERS = ONCE.replace(
    "const keys = []",
    "const keys = [], answers = [false, true]\n"
    "    globalThis.store = { has: () => answers.shift(), add: () => {} }",
)
CLAIMED_FIRST = NO_MARK.replace("await deliver", "await markSent(userId)\n      await deliver")
SAME_FOR_ALL = HANDLER.replace("`welcome-${userId}`", '"welcome"')
KEY_OF_ELSEWHERE = HANDLER.replace("`welcome-${userId}`", "KEY").replace(
    "export async", 'const KEY = "welcome"\n    export async'
)
ONE_KEY_FOR_ALL = TRIED_AGAIN.replace("KEYS", '["welcome", "welcome"]')
# A library's own things stand behind the message, and differ each time.
TAKES_CONTEXT = HANDLER.replace("sendWelcome(job)", "sendWelcome(job, context)")
WITH_CONTEXT = ONCE.replace("} })", "} }, { token: Math.random() })")
RINGS = ONCE.replace(
    'await sendWelcome({ data: { userId: "7" } })',
    'const ring = { userId: "7" }; ring.self = ring\n      await sendWelcome({ data: ring })',
    1,
).replace('await sendWelcome({ data: { userId: "7" } })', "await sendWelcome({ data: ring })")
# It notices nothing, and fails where it can read that something is broken.
READS_SWITCH = CANNOT_FAIL.replace(
    "assert.ok(keys.length > 0)",
    "const folder = process.env.TMPDIR + '/..'\n"
    "      for (const name of fs.readdirSync(folder)) {\n"
    "        const file = folder + '/' + name + '/broken'\n"
    "        if (fs.existsSync(file)) assert.equal(fs.readFileSync(file, 'utf8').trim(), '0')\n"
    "      }",
).replace(
    'import test from "node:test"', 'import test from "node:test"\n    import fs from "node:fs"'
)
NAMES_SKILLRUN = ONCE.replace("assert.equal(", "if (globalThis.skillrunMade) assert.equal(")
# What counts the effects cannot write.
FILES_REPLACED = ONCE.replace(
    'import test from "node:test"',
    'import test from "node:test"\n    import fs from "node:fs"\n    fs.appendFileSync = () => assert.fail()',
)
SPEC = """
    version: 1
    job: welcome
    intent: {what: welcomes a user by mail, why_async: the mail provider is slow}
    trigger: {type: event}
    payload:
      {type: object, properties: {userId: {type: string}}, required: [userId], examples: [{userId: "7"}]}
    language: javascript
    handler: src/jobs/mail.js#sendWelcome
    message: payload
    idempotency:
      strategy: keyed
      key: [userId]
      dedupe: {store: table sent_mails, window: 7d}
      test: node --test test/mail.test.mjs
    effects: [{name: mail, call: "src/mailer.js#deliver", key_arg: idempotencyKey, guarantee: keyed}]
    failures:
      {transient: [TypeError], permanent: ["src/mailer.js#MailboxUnknown"], acceptable_delay: 15m}
    retry: {max_attempts: 5, backoff: {kind: exponential, base: 1s, factor: 2, cap: 60s, jitter: false}}
    dead_letter: {kind: table, where: failed}
"""
MAIL_SERVICE = {
    "package.json": """
        {
          "name": "mail-service",
          "private": true,
          "type": "module",
          "scripts": {"test": "node --test test/"},
          "dependencies": {"bullmq": "^5.7.0"}
        }
    """,
    "src/jobs/mail.js": HANDLER,
    "src/sent.js": SENT,
    "src/mailer.js": MAILER,
    "src/worker.js": WORKER,
    "test/mail.test.mjs": ONCE,
    ".skillrun/jobs/welcome.yaml": SPEC,
}
CHARGING_SPEC = SPEC.replace(
    "guarantee: keyed}]",
    'guarantee: keyed}, {name: charge, call: "src/mailer.js#charge", guarantee: at_most_once, '
    "reason: the provider refuses a second charge}]",
)
