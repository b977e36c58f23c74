-- Up to which number a reader of the chats' logs has dealt with each chat; chat 0 is its last sweep, in microseconds.
CREATE TABLE log_cursors (
    reader VARCHAR(64) NOT NULL,
    chat_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (reader, chat_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
