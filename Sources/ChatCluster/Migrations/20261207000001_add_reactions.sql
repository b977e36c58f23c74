-- The summary of a message's reactions, as JSON. NULL: none. No row is written again.
ALTER TABLE messages
    ADD COLUMN reactions MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL;
-- Who has reacted to what. The revision of a reaction is its place among those of its name.
CREATE TABLE message_reactions (
    chat_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    user_id VARBINARY(128) NOT NULL,
    name VARBINARY(64) NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (chat_id, number, user_id, name),
    KEY index_message_reactions_by_name (chat_id, number, name, revision)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
-- The pinned messages of each chat.
CREATE TABLE pins (
    chat_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    pinned_by VARBINARY(128) NULL,
    pinned_at DATETIME(6) NOT NULL,
    PRIMARY KEY (chat_id, number)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
