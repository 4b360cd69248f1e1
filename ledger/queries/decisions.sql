-- Who said yes, a person or an agent: commands that were allowed, what was waived and attested, and in whose words.
-- param: job '' "only this job"
-- param: kind '' "human, agent, ci or unknown"
SELECT
    consent.run_id,
    consent.job,
    consent.kind,
    consent.item,
    consent.said,
    consent.by_whom,
    consent.actor_kind,
    datetime(consent.ts_us / 1000000, 'unixepoch') || 'Z' AS given
FROM consent
WHERE coalesce(:job, '') IN ('', consent.job)
    AND coalesce(:kind, '') IN ('', consent.actor_kind)
ORDER BY consent.ts_us DESC, consent.run_id, consent.n DESC;
