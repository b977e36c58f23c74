-- Rotation, suspension and deletion of applications. old_token works until old_token_until; removed_at is the beginning of
-- the deletion: from then on nothing names the application.
ALTER TABLE applications ADD COLUMN old_token VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL;
ALTER TABLE applications ADD COLUMN old_token_until DATETIME(6) NULL;
ALTER TABLE applications ADD COLUMN rotated_at DATETIME(6) NULL;
ALTER TABLE applications ADD COLUMN suspended_at DATETIME(6) NULL;
ALTER TABLE applications ADD COLUMN delete_at DATETIME(6) NULL;
ALTER TABLE applications ADD COLUMN removed_at DATETIME(6) NULL;
ALTER TABLE applications ADD KEY index_applications_on_old_token (old_token);
ALTER TABLE applications ADD KEY index_applications_on_delete_at (delete_at);
-- Who did what. An application is called by its public id: its rows stay when it is gone. A transaction whose outcome was
-- lost is repeated with the same nonce.
CREATE TABLE audit (
    id BIGINT NOT NULL AUTO_INCREMENT,
    application VARCHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL,
    principal VARCHAR(255) NOT NULL,
    action VARCHAR(64) NOT NULL,
    target VARCHAR(255) NULL,
    request_id VARCHAR(128) NULL,
    address VARCHAR(64) NULL,
    nonce BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY index_audit_on_nonce (nonce),
    KEY index_audit_on_application (application, id),
    KEY index_audit_on_created_at (created_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
-- The deletions that have begun. emptied_at: when the application's own row was gone.
CREATE TABLE removals (
    application_id BIGINT NOT NULL,
    application VARCHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    began_at DATETIME(6) NOT NULL,
    emptied_at DATETIME(6) NULL,
    PRIMARY KEY (application_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
ALTER TABLE log_cursors ADD KEY index_log_cursors_on_chat (chat_id);
