-- As the Rails application made it.
CREATE TABLE messages (
    id BIGINT NOT NULL AUTO_INCREMENT,
    chat_id BIGINT NOT NULL,
    number INT NOT NULL,
    body TEXT,
    created_at DATETIME(6) NOT NULL,
    updated_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY index_messages_on_chat_id_and_number (chat_id, number),
    CONSTRAINT fk_messages_chats FOREIGN KEY (chat_id) REFERENCES chats (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = {{collation}};
