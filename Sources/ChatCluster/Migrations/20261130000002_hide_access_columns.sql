-- As in 20261128000003: a Rails application beside us shows its clients all columns that it sees.
ALTER TABLE applications
    /*!80023 ALTER COLUMN public_id SET INVISIBLE, ALTER COLUMN path_token SET INVISIBLE */
    /*M!100303 MODIFY public_id VARCHAR(26) CHARACTER SET ascii COLLATE ascii_bin NULL INVISIBLE,
    MODIFY path_token TINYINT NOT NULL DEFAULT 0 INVISIBLE */;
