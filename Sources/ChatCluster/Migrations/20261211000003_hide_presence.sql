-- As in 20261128000003: a Rails application beside us shows its clients all columns that it sees.
ALTER TABLE applications
    /*!80023 ALTER COLUMN presence SET INVISIBLE */
    /*M!100303 MODIFY presence TINYINT NOT NULL DEFAULT 0 INVISIBLE */;
