-- The settings of chats: access 0 every user of the application is in it, 1 its members alone; history 0 new members see
-- all, 1 what is said from then on. Servers of before do not know the columns.
ALTER TABLE chats ADD COLUMN name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL;
ALTER TABLE chats ADD COLUMN metadata TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL;
ALTER TABLE chats ADD COLUMN access TINYINT NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN history TINYINT NOT NULL DEFAULT 0;
-- The members of chats. role: 0 owner, 1 admin, 2 member, 3 reader, 4 banned. A user's id is compared by its bytes: every
-- collation that both MySQL and MariaDB have ignores spaces at its end. No foreign key: what is written here must lock
-- nothing else.
CREATE TABLE chat_members (
    application_id BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    chat_number BIGINT NOT NULL,
    user_id VARBINARY(128) NOT NULL,
    role TINYINT NOT NULL,
    from_number BIGINT NOT NULL,
    to_number BIGINT NULL,
    created_at DATETIME(6) NOT NULL,
    removed_at DATETIME(6) NULL,
    PRIMARY KEY (chat_id, user_id),
    KEY index_chat_members_of_chat (chat_id, removed_at, user_id),
    KEY index_chat_members_of_user (application_id, user_id, removed_at, chat_number)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
-- Who may see what in a chat has changed: for a user or, without one, for any. As access_changes.
CREATE TABLE member_changes (
    changed_at DATETIME(6) NOT NULL,
    id BIGINT NOT NULL,
    application_id BIGINT NOT NULL,
    chat_id BIGINT NOT NULL,
    chat_number BIGINT NOT NULL,
    user_id VARBINARY(128) NULL,
    PRIMARY KEY (changed_at, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
