-- Version 3: the stages that failed, found by what they rested on: which of them passed with the same is asked in one pass.

CREATE INDEX event_failed ON event (fingerprint, ts_us) WHERE type = 'stage.finished' AND outcome = 'failed';
