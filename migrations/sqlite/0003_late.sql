-- The janitor looks through failed turns for those to which an answer may still come.
CREATE INDEX turns_failed ON paliadin_turns (finished_at) WHERE state = 'failed';
