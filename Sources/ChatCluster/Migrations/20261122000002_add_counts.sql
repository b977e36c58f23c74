-- The messages 1 to counted_number are all stored, void ones included: only what comes after must be counted.
ALTER TABLE chats ADD COLUMN counted_number BIGINT NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN void_count BIGINT NOT NULL DEFAULT 0;
ALTER TABLE applications ADD COLUMN messages_count BIGINT NOT NULL DEFAULT 0;

UPDATE chats
JOIN (
    SELECT chat_id, COUNT(*) AS stored, MAX(number) AS highest FROM messages WHERE number > 0 GROUP BY chat_id
) AS counted ON counted.chat_id = chats.id
SET counted_number = counted.highest
WHERE counted.stored = counted.highest;

-- An application's counts are the sum of its stripes, so that the appends of many machines do not wait for each other.
CREATE TABLE application_counts (
    application_id BIGINT NOT NULL,
    stripe SMALLINT NOT NULL,
    chats BIGINT NOT NULL DEFAULT 0,
    messages BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (application_id, stripe)
) ENGINE = InnoDB;

INSERT INTO application_counts (application_id, stripe, chats, messages)
SELECT chats.application_id, 0, COUNT(DISTINCT chats.id), COUNT(messages.id)
FROM chats LEFT JOIN messages ON messages.chat_id = chats.id
GROUP BY chats.application_id
ON DUPLICATE KEY UPDATE chats = VALUES(chats), messages = VALUES(messages);
