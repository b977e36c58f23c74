-- Which append wrote a row: a random number, so that a writer that lost its connection can tell whether it is its own.
-- 0: the Rails application did; -1: the number is void.
ALTER TABLE messages ADD COLUMN batch_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN batch_id BIGINT NOT NULL DEFAULT 0;
