-- As in 20261128000003: a Rails application beside us shows its clients all columns that it sees.
ALTER TABLE messages
    /*!80023 ALTER COLUMN mentions SET INVISIBLE */
    /*M!100303 MODIFY mentions TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL INVISIBLE */;
