-- The times of a block's messages. NULL in blocks that servers of the version before make, which a search does not read.
ALTER TABLE search_blocks ADD COLUMN times MEDIUMBLOB NULL;
