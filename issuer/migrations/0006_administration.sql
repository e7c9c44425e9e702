-- What administrators list and search, invitations, and passwords that were hashed elsewhere.

-- Users in the order of their addresses, and those whose address or name begins with something. Compared byte by byte, so that
-- a prefix is a range whatever the database's collation; the name with the id behind it, since names are not unique.
create index users_email_prefix_idx on users ((lower(email) collate "C"));
create index users_name_prefix_idx on users ((lower(name) collate "C"), id);

-- Those who can administer: of them one must always be left.
create index users_administrators_idx on users (id) where 'admin' = any (roles) and disabled_at is null;

-- One-time links that lead to a password, the first or a new one. At most one per user: a new one replaces the old one.
create table invitations (
    user_id    bytea       constraint invitations_pkey primary key
                           constraint invitations_user_id_fkey references users on delete cascade,
    -- SHA-256 of the token in the link.
    token_hash bytea       not null
                           constraint invitations_token_hash_has_32_bytes check (octet_length(token_hash) = 32),
    created_at timestamptz not null,
    expires_at timestamptz not null
);
create unique index invitations_token_hash_key on invitations (token_hash);
-- What the sweep deletes.
create index invitations_expires_at_idx on invitations (expires_at);

-- Imported accounts bring the hash that another system made. It is replaced by argon2id at the first sign-in.
alter table credentials
    drop constraint credentials_phc_is_argon2id,
    add constraint credentials_phc_is_known
        check (phc ~ '^\$(argon2(id|i|d)|scrypt|pbkdf2-sha(256|512)|2[aby])\$' and length(phc) <= 512);
