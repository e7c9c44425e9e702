-- Attempts at accounts, shared by all issuers. One row for each allowance that is not whole. Unlogged: after a crash of Postgres
-- everybody has their whole allowance again, and a flood of attempts writes no log.
create unlogged table attempts (
    -- An HMAC of whose allowance it is: the table does not say who was tried, nor which accounts there are.
    name    bytea       constraint attempts_pkey primary key
                        constraint attempts_name_has_32_bytes check (octet_length(name) = 32),
    -- When the allowance is whole again: the theoretical arrival time of the generic cell rate algorithm. Not indexed, so that
    -- an update stays on its page; the table holds what was tried in the last minutes only.
    full_at timestamptz not null
) with (fillfactor = 50);
