-- Who says a message: the id of a user, NULL where nobody was named. Servers of before do not know the column.
ALTER TABLE messages ADD COLUMN sender VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL;
