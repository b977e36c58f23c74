-- The generations of the search engine's index: at most one being built, one searched, and one to be deleted. An index
-- whose marker is lower than ours is not believed.
CREATE TABLE search_generations (
    state VARCHAR(16) NOT NULL,
    id VARCHAR(32) NOT NULL,
    fold_version INT NOT NULL,
    marker BIGINT NOT NULL,
    PRIMARY KEY (state),
    UNIQUE KEY index_search_generations_on_id (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
