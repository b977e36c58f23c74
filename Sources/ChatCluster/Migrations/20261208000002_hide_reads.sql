-- As in 20261128000003: a Rails application beside us shows its clients all columns that it sees.
ALTER TABLE messages
    /*!80023 ALTER COLUMN in_main SET INVISIBLE */
    /*M!100303 MODIFY in_main TINYINT NULL INVISIBLE */;
