-- What can change of a message: its metadata, its place in a thread, edits and deletions. NULL: none, and a revision of 0, as
-- in rows of the Rails application and of servers of before. No row is written again.
ALTER TABLE messages
    ADD COLUMN metadata TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ADD COLUMN thread BIGINT NULL,
    ADD COLUMN reply_to BIGINT NULL,
    ADD COLUMN edited_at DATETIME(6) NULL,
    ADD COLUMN deleted_at DATETIME(6) NULL,
    ADD COLUMN deleted_by VARBINARY(128) NULL,
    ADD COLUMN content_revision BIGINT NULL,
    ADD COLUMN reactions_revision BIGINT NULL;
-- The highest revision of each chat that has one. Not in chats: a message's foreign key locks its chat's row, and no create
-- may wait for a change.
CREATE TABLE chat_heads (
    chat_id BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    deleted_count BIGINT NOT NULL,
    PRIMARY KEY (chat_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
-- One row for each thing that has changed, with its last revision. kind: 1 a message, 2 a member, 3 the chat, 4 a pin.
-- batch_id tells a writer that has lost its connection whether its change is stored.
CREATE TABLE chat_changes (
    chat_id BIGINT NOT NULL,
    kind TINYINT NOT NULL,
    item BIGINT NOT NULL,
    user_id VARBINARY(128) NOT NULL,
    revision BIGINT NOT NULL,
    batch_id BIGINT NOT NULL,
    PRIMARY KEY (chat_id, kind, item, user_id),
    UNIQUE KEY index_chat_changes_on_chat_id_and_revision (chat_id, revision)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
-- Contents that were replaced.
CREATE TABLE message_versions (
    chat_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    body TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    metadata TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    created_at DATETIME(6) NOT NULL,
    replaced_at DATETIME(6) NOT NULL,
    PRIMARY KEY (chat_id, number, revision),
    KEY index_message_versions_on_replaced_at (replaced_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
