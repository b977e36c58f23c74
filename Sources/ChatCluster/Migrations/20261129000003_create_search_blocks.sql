-- The search index: folded text of about 32 kB of a chat's consecutive messages, and up to where each chat has been
-- indexed. edits rises with each change below that. No foreign key: what is written here must lock nothing else. The second
-- key has all that tells which chats of an application are whole, and the order of its blocks.
CREATE TABLE search_blocks (
    chat_id BIGINT NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    application_id BIGINT NOT NULL,
    fold_version INT NOT NULL,
    count INT NOT NULL,
    oldest_at DATETIME(6) NOT NULL,
    newest_at DATETIME(6) NOT NULL,
    numbers MEDIUMBLOB NOT NULL,
    folded MEDIUMBLOB NOT NULL,
    PRIMARY KEY (chat_id, first),
    KEY index_search_blocks_on_application (application_id, fold_version, newest_at, chat_id, first, last)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
CREATE TABLE search_heads (
    chat_id BIGINT NOT NULL,
    indexed_to BIGINT NOT NULL,
    edits BIGINT NOT NULL,
    PRIMARY KEY (chat_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
