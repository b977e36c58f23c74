-- What a key of a retry belongs to: scope 1 is a chat, 2 an application.
CREATE TABLE idempotency_keys (
    scope TINYINT NOT NULL,
    scope_id BIGINT NOT NULL,
    idempotency_key VARBINARY(255) NOT NULL,
    fingerprint BINARY(32) NOT NULL,
    number BIGINT NOT NULL,
    created_at DATETIME(6) NOT NULL,
    PRIMARY KEY (scope, scope_id, idempotency_key),
    KEY index_idempotency_keys_on_created_at (created_at)
) ENGINE = InnoDB;
