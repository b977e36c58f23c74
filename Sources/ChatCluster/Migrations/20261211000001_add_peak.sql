-- The highest number that a user has ever read, where it is above `number`, since the user has marked messages unread: what the
-- others were told. NULL for all others. No row is written again.
ALTER TABLE chat_reads ADD COLUMN peak BIGINT NULL;
