-- What refuted a job: the rule, the place and the words of each witness, and when it was seen first and last.
-- param: job '' "only this job"
SELECT
    finding.job,
    finding.rule,
    finding.message,
    finding.path,
    finding.line,
    count(DISTINCT finding.run_id) AS runs,
    datetime(min(finding.ts_us) / 1000000, 'unixepoch') || 'Z' AS first_seen,
    datetime(max(finding.ts_us) / 1000000, 'unixepoch') || 'Z' AS last_seen
FROM finding
WHERE finding.rule LIKE 'proof.%'
    AND finding.severity = 'error'
    AND coalesce(:job, '') IN ('', finding.job)
GROUP BY finding.repo, finding.job, finding.rule, finding.message, finding.path, finding.line
ORDER BY max(finding.ts_us) DESC, finding.job, finding.rule, finding.message;
