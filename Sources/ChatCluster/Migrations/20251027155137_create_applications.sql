-- As the Rails application made it.
CREATE TABLE applications (
    id BIGINT NOT NULL AUTO_INCREMENT,
    name VARCHAR(255) NOT NULL,
    token VARCHAR(255) NOT NULL,
    chats_count INT DEFAULT 0,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY index_applications_on_token (token)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = {{collation}};
