-- The Rails application made them INT. A server rebuilds the table for this, unless they are BIGINT already.
ALTER TABLE chats MODIFY number BIGINT NOT NULL;
ALTER TABLE messages MODIFY number BIGINT NOT NULL;
