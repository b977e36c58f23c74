-- As in 20261128000003: a Rails application beside us shows its clients all columns that it sees.
ALTER TABLE applications
    /*!80023 ALTER COLUMN old_token SET INVISIBLE,
    ALTER COLUMN old_token_until SET INVISIBLE,
    ALTER COLUMN rotated_at SET INVISIBLE,
    ALTER COLUMN suspended_at SET INVISIBLE,
    ALTER COLUMN delete_at SET INVISIBLE,
    ALTER COLUMN removed_at SET INVISIBLE */
    /*M!100303 MODIFY old_token VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL INVISIBLE,
    MODIFY old_token_until DATETIME(6) NULL INVISIBLE,
    MODIFY rotated_at DATETIME(6) NULL INVISIBLE,
    MODIFY suspended_at DATETIME(6) NULL INVISIBLE,
    MODIFY delete_at DATETIME(6) NULL INVISIBLE,
    MODIFY removed_at DATETIME(6) NULL INVISIBLE */;
