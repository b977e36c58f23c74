-- Which chats (scope 1) have new messages and which applications (scope 2) new chats, from which number on, and when they
-- came, by this server's clock: whoever follows the rows looks here for what has changed. Kept for an hour. No foreign key
-- and no row that two transactions write: nobody waits here.
CREATE TABLE log_changes (
    changed_at DATETIME(6) NOT NULL,
    scope TINYINT NOT NULL,
    scope_id BIGINT NOT NULL,
    batch_id BIGINT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (changed_at, scope, scope_id, batch_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
