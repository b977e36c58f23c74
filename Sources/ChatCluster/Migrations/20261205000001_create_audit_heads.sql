-- Whoever writes to an application's audit locks its row here: so the ids there rise in the order of the commits, and
-- nobody waits for it who does not write there.
CREATE TABLE audit_heads (
    application_id BIGINT NOT NULL,
    PRIMARY KEY (application_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
