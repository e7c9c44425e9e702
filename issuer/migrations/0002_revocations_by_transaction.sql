-- The tail: a reader asks, several times a second, for the rows from a transaction on. Without this index each of these
-- questions would read every live row.
create index revocations_xid_idx on revocations (xid);
