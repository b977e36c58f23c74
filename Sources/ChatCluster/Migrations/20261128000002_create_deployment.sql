-- One row: what tells this deployment's messages on a shared Redis from another's. Whoever reads it can read and forge them.
CREATE TABLE deployment (
    place TINYINT NOT NULL,
    name BINARY(8) NOT NULL,
    bus_key BINARY(32) NOT NULL,
    PRIMARY KEY (place)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
