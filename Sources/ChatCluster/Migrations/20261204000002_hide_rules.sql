-- As in 20261128000003: a Rails application beside us shows its clients all columns that it sees.
ALTER TABLE applications
    /*!80023 ALTER COLUMN limits SET INVISIBLE, ALTER COLUMN origins SET INVISIBLE */
    /*M!100303 MODIFY limits TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL INVISIBLE,
    MODIFY origins TEXT CHARACTER SET ascii COLLATE ascii_bin NULL INVISIBLE */;
