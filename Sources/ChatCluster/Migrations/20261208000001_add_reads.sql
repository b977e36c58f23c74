-- How far users have read: a row for a user and chat, moved by its marks. No foreign key: a mark must lock nothing of its chat.
CREATE TABLE chat_reads (
    chat_id BIGINT NOT NULL,
    user_id VARBINARY(128) NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (chat_id, user_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
-- The replies of each thread by number: a page of them needs no index on messages, which every create would maintain.
CREATE TABLE thread_replies (
    chat_id BIGINT NOT NULL,
    thread BIGINT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (chat_id, thread, number)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
CREATE TABLE thread_heads (
    chat_id BIGINT NOT NULL,
    thread BIGINT NOT NULL,
    reply_count BIGINT NOT NULL,
    last_reply BIGINT NOT NULL,
    PRIMARY KEY (chat_id, thread)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
-- 1 for a reply that stands in the main line too; else NULL, as in rows of servers of before. No row is written again.
ALTER TABLE messages ADD COLUMN in_main TINYINT NULL;
