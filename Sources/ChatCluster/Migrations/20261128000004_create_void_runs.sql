-- Where many void numbers lie side by side: readers jump over them. Only a help, which may be missing anywhere. scope 1 is
-- a chat and its messages, 2 an application and its chats. No foreign key: what is written here must lock nothing.
CREATE TABLE void_runs (
    scope TINYINT NOT NULL,
    scope_id BIGINT NOT NULL,
    first_number BIGINT NOT NULL,
    last_number BIGINT NOT NULL,
    PRIMARY KEY (scope, scope_id, first_number),
    KEY index_void_runs_on_last_number (scope, scope_id, last_number)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
