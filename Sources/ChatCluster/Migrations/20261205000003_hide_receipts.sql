-- As in 20261128000003: a Rails application beside us shows its clients all columns that it sees.
ALTER TABLE applications
    /*!80023 ALTER COLUMN receipts SET INVISIBLE */
    /*M!100303 MODIFY receipts TINYINT NOT NULL DEFAULT 0 INVISIBLE */;
ALTER TABLE chats
    /*!80023 ALTER COLUMN receipts SET INVISIBLE */
    /*M!100303 MODIFY receipts TINYINT NOT NULL DEFAULT 0 INVISIBLE */;
