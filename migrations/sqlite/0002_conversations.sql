-- A listing of conversations tells how many turns of each are open, and whoever deletes one has them ended.
CREATE INDEX turns_open_of_conversation ON paliadin_turns (session_id, turn_id) WHERE state IN ('queued', 'running');
