-- What background jobs remember from run to run: how far they have come, and the epoch of the marks they go by.
CREATE TABLE job_positions (
    name VARCHAR(64) NOT NULL,
    position BIGINT NOT NULL DEFAULT 0,
    epoch VARCHAR(64) NOT NULL DEFAULT '',
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
