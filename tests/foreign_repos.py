"""Two small repositories in other languages than Python: a bakery on Rails and Sidekiq that charges
its orders, and a service in TypeScript and BullMQ that sends mails. Each has a spec.
"""

from __future__ import annotations

BAKERY = {
    "Gemfile": """
        source "https://rubygems.org"

        gem "rails", "~> 7.1"
        gem "pg"
        gem "sidekiq", "~> 7.2"
        gem "stripe"

        group :test do
          gem "rspec-rails"
        end
    """,
    "config/application.rb": """
        require "rails/all"
        module Bakery
          class Application < Rails::Application
            config.load_defaults 7.1
            config.active_job.queue_adapter = :sidekiq
          end
        end
    """,
    "config/sidekiq.yml": """
        :concurrency: 5
        :queues:
          - payments
          - default
    """,
    "app/jobs/charge_order_job.rb": """
        # frozen_string_literal: true

        class ChargeOrderJob
          include Sidekiq::Job
          sidekiq_options queue: "payments", retry: 5

          sidekiq_retries_exhausted do |msg, ex|
            Order.find(msg["args"].first).update!(state: "charge_failed", failure: ex.message)
          end

          def perform(order_id)
            order = Order.find(order_id)
            return if order.charged?

            charge = PaymentGateway.new.charge(
              amount: order.total_cents,
              customer: order.customer_id,
              idempotency_key: "order-#{order.id}"
            )
            order.update!(state: "charged", charge_id: charge.id)
            logger.info "charged order=#{order.id} charge=#{charge.id}"
          end
        end
    """,
    "app/services/payment_gateway.rb": """
        # frozen_string_literal: true

        class PaymentGateway
          class Declined < StandardError; end

          def charge(amount:, customer:, idempotency_key:)
            Stripe::PaymentIntent.create(
              {amount: amount, currency: "eur", customer: customer, confirm: true},
              {idempotency_key: idempotency_key}
            )
          rescue Stripe::CardError => e
            raise Declined, e.message
          end
        end
    """,
    "app/models/order.rb": """
        class Order < ApplicationRecord
          after_commit :enqueue_charge, on: :create

          def charged? = state == "charged"

          private

          def enqueue_charge
            ChargeOrderJob.perform_async(id)
          end
        end
    """,
    "spec/jobs/charge_order_job_spec.rb": """
        require "rails_helper"

        RSpec.describe ChargeOrderJob do
          it "charges once" do
            order = create(:order)
            expect_any_instance_of(PaymentGateway).to receive(:charge).once.and_return(double(id: "ch_1"))
            2.times { described_class.new.perform(order.id) }
          end
        end
    """,
    ".skillrun/jobs/charge-order.yaml": """
        version: 1
        job: charge-order
        intent: {what: charges an order, why_async: the payment provider is slow}
        trigger: {type: event}
        payload:
          {type: object, properties: {order_id: {type: integer}}, examples: [{order_id: 7}]}
        language: ruby
        handler: ChargeOrderJob
        message: args
        idempotency: {strategy: keyed, key: [order_id], dedupe: {store: table orders, window: 7d}}
        effects: [{name: charge, call: PaymentGateway#charge, key_arg: idempotency_key, guarantee: keyed}]
        failures:
          transient: ["Stripe::APIConnectionError", "Net::ReadTimeout"]
          permanent: ["PaymentGateway::Declined"]
          acceptable_delay: 15m
        retry: {max_attempts: 6, backoff: {kind: exponential, base: 15s, factor: 2, cap: 60s, jitter: true}}
        dead_letter: {kind: table, where: orders}
    """,
}

MAILS = {
    "package.json": """
        {
          "name": "mail-service",
          "private": true,
          "type": "module",
          "scripts": {
            "test": "node --test test/",
            "lint": "node --check test/mail.test.mjs"
          },
          "dependencies": {
            "bullmq": "^5.7.0",
            "ioredis": "^5.4.1",
            "pg": "^8.11.0"
          },
          "devDependencies": {
            "typescript": "^5.4.0"
          }
        }
    """,
    "src/queues/mail.ts": """
        import { Queue } from "bullmq";
        import { connection } from "./connection.js";

        export const mailQueue = new Queue("mail", {
          connection,
          defaultJobOptions: {
            attempts: 5,
            backoff: { type: "exponential", delay: 1000 },
            removeOnComplete: 1000,
          },
        });

        export async function enqueueWelcome(userId: string): Promise<void> {
          await mailQueue.add("welcome", { userId }, { jobId: `welcome-${userId}` });
        }
    """,
    "src/queues/connection.ts": """
        import IORedis from "ioredis";

        export const connection = new IORedis(process.env.REDIS_URL ?? "redis://localhost:6379", {
          maxRetriesPerRequest: null,
        });
    """,
    "src/jobs/mail.ts": """
        import { UnrecoverableError, Worker, type Job } from "bullmq";
        import { connection } from "../queues/connection.js";
        import { deliver, MailboxUnknown } from "../mailer.js";
        import { alreadySent, markSent } from "../sent.js";

        export async function sendWelcome(job: Job<{ userId: string }>): Promise<void> {
          const { userId } = job.data;
          if (await alreadySent(userId)) return;
          try {
            await deliver(userId, "welcome", { idempotencyKey: `welcome-${userId}` });
          } catch (error) {
            if (error instanceof MailboxUnknown) throw new UnrecoverableError(error.message);
            throw error;
          }
          await markSent(userId);
        }

        export const worker = new Worker("mail", sendWelcome, { connection, concurrency: 10 });

        worker.on("failed", (job, error) => {
          console.error("mail failed", { jobId: job?.id, attempt: job?.attemptsMade, error: error.message });
        });
    """,
    "src/mailer.ts": """
        export class MailboxUnknown extends Error {}

        type Options = { idempotencyKey: string };

        export async function deliver(userId: string, template: string, options: Options) {
          const response = await fetch("https://mail.example/messages", {
            method: "POST",
            headers: { "Idempotency-Key": options.idempotencyKey },
            body: JSON.stringify({ userId, template }),
          });
          if (response.status === 404) throw new MailboxUnknown(userId);
          if (!response.ok) throw new Error(`mail provider answered ${response.status}`);
        }
    """,
    "src/sent.ts": """
        import pg from "pg";

        const pool = new pg.Pool();

        export async function alreadySent(userId: string): Promise<boolean> {
          const { rowCount } = await pool.query("SELECT 1 FROM sent_mails WHERE user_id = $1", [userId]);
          return rowCount === 1;
        }

        export async function markSent(userId: string): Promise<void> {
          await pool.query("INSERT INTO sent_mails (user_id) VALUES ($1) ON CONFLICT DO NOTHING", [userId]);
        }
    """,
    "test/mail.test.mjs": """
        import assert from "node:assert/strict";
        import test from "node:test";

        test("two and two", () => {
          assert.equal(2 + 2, 4);
        });
    """,
    ".skillrun/jobs/welcome.yaml": """
        version: 1
        job: welcome
        intent: {what: welcomes a user by mail, why_async: the mail provider is slow}
        trigger: {type: event}
        payload: {type: object, properties: {userId: {type: string}}, required: [userId], examples: [{userId: "7"}]}
        language: typescript
        handler: src/jobs/mail.ts#sendWelcome
        message: kwargs
        enqueue: {call: "src/queues/mail.ts#enqueueWelcome", args: {userId: "7"}}
        idempotency: {strategy: keyed, key: [userId], dedupe: {store: table sent_mails, window: 7d}}
        effects: [{name: mail, call: "src/mailer.ts#deliver", key_arg: idempotencyKey, guarantee: keyed}]
        failures: {transient: [TypeError], permanent: ["src/mailer.ts#MailboxUnknown"], acceptable_delay: 15m}
        retry: {max_attempts: 5, backoff: {kind: exponential, base: 1s, factor: 2, cap: 60s, jitter: false}}
        dead_letter: {kind: table, where: failed}
    """,
}
