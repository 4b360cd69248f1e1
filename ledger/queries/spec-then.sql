-- What the spec said when a run began, and each time that it said something else later in the run.
-- param: run '' "the run's id, or its beginning; all runs without one"
SELECT
    spec_text.run_id,
    spec_text.job,
    spec_text.path,
    spec_text.invocation,
    spec_text.sha,
    spec_text.text,
    datetime(spec_text.ts_us / 1000000, 'unixepoch') || 'Z' AS read_at
FROM spec_text
WHERE substr(spec_text.run_id, 1, length(coalesce(:run, ''))) = coalesce(:run, '')
ORDER BY spec_text.ts_us DESC, spec_text.run_id DESC, spec_text.n DESC;
