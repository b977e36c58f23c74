-- As the Rails application made it.
CREATE TABLE chats (
    id BIGINT NOT NULL AUTO_INCREMENT,
    application_id BIGINT NOT NULL,
    number INT NOT NULL,
    messages_count INT DEFAULT 0,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY index_chats_on_application_id_and_number (application_id, number),
    CONSTRAINT fk_chats_applications FOREIGN KEY (application_id) REFERENCES applications (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = {{collation}};
