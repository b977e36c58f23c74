-- What an application sets for its requests: limits as JSON, and the origins whose pages may call the API, with blanks
-- between. NULL: nothing, as in rows of the Rails application and of servers of before.
ALTER TABLE applications
    ADD COLUMN limits TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ADD COLUMN origins TEXT CHARACTER SET ascii COLLATE ascii_bin NULL;
