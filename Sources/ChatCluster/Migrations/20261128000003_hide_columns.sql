-- A Rails application that runs beside us reads SELECT * and shows all that it gets to its clients. Hidden columns are
-- left out there, and are read and written by name as before. MySQL has the first syntax from 8.0.23 on, MariaDB the
-- second; each takes the other's for a comment. applications.messages_count is not hidden: Rails' jobs write it.
ALTER TABLE messages
    /*!80023 ALTER COLUMN batch_id SET INVISIBLE */
    /*M!100303 MODIFY batch_id BIGINT NOT NULL DEFAULT 0 INVISIBLE */;
ALTER TABLE chats
    /*!80023 ALTER COLUMN batch_id SET INVISIBLE, ALTER COLUMN counted_number SET INVISIBLE,
    ALTER COLUMN void_count SET INVISIBLE */
    /*M!100303 MODIFY batch_id BIGINT NOT NULL DEFAULT 0 INVISIBLE,
    MODIFY counted_number BIGINT NOT NULL DEFAULT 0 INVISIBLE,
    MODIFY void_count BIGINT NOT NULL DEFAULT 0 INVISIBLE */;
