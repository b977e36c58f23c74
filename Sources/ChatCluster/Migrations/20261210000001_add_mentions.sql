-- Whom messages and their replaced contents mention, as JSON. NULL: they never did, as in rows of servers of before. No row is
-- written again.
ALTER TABLE messages ADD COLUMN mentions TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL;
ALTER TABLE message_versions ADD COLUMN mentions TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL;
