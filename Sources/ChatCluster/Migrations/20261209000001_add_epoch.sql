-- How often the database was restored to an earlier state, which cursors name.
ALTER TABLE deployment ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
