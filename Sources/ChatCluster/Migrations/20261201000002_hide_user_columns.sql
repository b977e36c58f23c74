-- As in 20261128000003: a Rails application beside us shows its clients all columns that it sees.
ALTER TABLE applications
    /*!80023 ALTER COLUMN tokens_valid_after SET INVISIBLE */
    /*M!100303 MODIFY tokens_valid_after DATETIME(6) NULL INVISIBLE */;
