-- tokens_valid_after: user tokens that were issued until then are refused, those of all users of the application.
ALTER TABLE applications ADD COLUMN tokens_valid_after DATETIME(6) NULL;
-- The keys of user tokens (JWT). algorithm: 0 HS256, material is the secret; 1 EdDSA, material is the public key. No foreign
-- keys here: what is written must lock nothing else.
CREATE TABLE jwt_keys (
    application_id BIGINT NOT NULL,
    id VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    algorithm TINYINT UNSIGNED NOT NULL,
    material VARBINARY(255) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    retires_at DATETIME(6) NULL,
    revoked_at DATETIME(6) NULL,
    last_used_at DATETIME(6) NULL,
    PRIMARY KEY (application_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
-- The users of applications. id: the application's own name for the user, UTF-8, as bytes: collations of text ignore spaces at
-- the end, and so would make one user of two.
CREATE TABLE users (
    application_id BIGINT NOT NULL,
    id VARBINARY(128) NOT NULL,
    name VARCHAR(255) NULL,
    metadata TEXT NULL,
    created_at DATETIME(6) NOT NULL,
    blocked_at DATETIME(6) NULL,
    valid_after DATETIME(6) NULL,
    PRIMARY KEY (application_id, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
-- A change of a user; without a key and a user the application has changed.
ALTER TABLE access_changes ADD COLUMN user_id VARBINARY(128) NULL;
