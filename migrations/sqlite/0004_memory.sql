-- Since when an agent remembers what it is told. Which turns it has seen since is in their rows.
ALTER TABLE agent_sessions ADD COLUMN memory_since INTEGER;
