-- Whether users of an application see which of the others are online: 0 off, 1 users. Servers of before do not know the column.
ALTER TABLE applications ADD COLUMN presence TINYINT NOT NULL DEFAULT 0;
