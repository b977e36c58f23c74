-- The second name of an application, which is no secret. NULL in rows of the Rails application and of servers of before, which
-- do not know the column: `luciq db migrate` and whoever shows a row fills it. path_token: what the token in the path is
-- worth: 0 it opens everything, 1 it only names the application, 2 nothing.
ALTER TABLE applications ADD COLUMN public_id VARCHAR(26) CHARACTER SET ascii COLLATE ascii_bin NULL;
ALTER TABLE applications ADD COLUMN path_token TINYINT NOT NULL DEFAULT 0;
ALTER TABLE applications ADD UNIQUE KEY index_applications_on_public_id (public_id);
-- The keys of applications. digest is the SHA-256 of the secret; scopes are bits: 1 read, 2 write, 4 admin, 8 members. No
-- foreign key: what is written here must lock nothing else.
CREATE TABLE application_keys (
    id VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    application_id BIGINT NOT NULL,
    name VARCHAR(255) NOT NULL,
    digest BINARY(32) NOT NULL,
    scopes TINYINT UNSIGNED NOT NULL,
    created_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NULL,
    last_used_at DATETIME(6) NULL,
    revoked_at DATETIME(6) NULL,
    PRIMARY KEY (id),
    KEY index_application_keys_on_application (application_id, created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
-- What servers must look up again: a key of an application or, without one, the application. Written with the change
-- itself, and kept for a day: each server reads the new rows every few seconds, by this server's clock.
CREATE TABLE access_changes (
    changed_at DATETIME(6) NOT NULL,
    id BIGINT NOT NULL,
    application_id BIGINT NOT NULL,
    key_id VARCHAR(12) CHARACTER SET ascii COLLATE ascii_bin NULL,
    PRIMARY KEY (changed_at, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
