-- Whether readers of a chat see how far others have read: 0 off, 1 members; of an application: for its new chats. Servers
-- of before do not know the columns.
ALTER TABLE applications ADD COLUMN receipts TINYINT NOT NULL DEFAULT 0;
ALTER TABLE chats ADD COLUMN receipts TINYINT NOT NULL DEFAULT 0;
-- The open chats of an application by number: a user's list of chats joins them with those of its own rows, below.
ALTER TABLE chats ADD KEY index_chats_on_application_and_access (application_id, access, number);
-- A user's rows by number, removed ones included; and the owners of a chat.
ALTER TABLE chat_members ADD KEY index_chat_members_of_user_by_number (application_id, user_id, chat_number);
ALTER TABLE chat_members ADD KEY index_chat_members_on_role (chat_id, role, removed_at);
-- The void numbers of chats, in runs: what a user sees of a chat is counted by them. chats.void_count says whether all are
-- here; those of servers of before are not. No foreign key: what is written here must lock nothing else.
CREATE TABLE message_voids (
    chat_id BIGINT NOT NULL,
    first_number BIGINT NOT NULL,
    last_number BIGINT NOT NULL,
    PRIMARY KEY (chat_id, first_number)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
