-- Services that ask for tokens of their own (RFC 6749 §4.4). The operator registers them; there is no other way.
create table clients (
    -- `client_id`.
    id                bytea       constraint clients_pkey primary key
                                  constraint clients_id_has_16_bytes check (octet_length(id) = 16),
    name              text        not null
                                  constraint clients_name_is_short check (length(name) between 1 and 200),
    -- The most that a token of theirs may hold.
    scopes            text[]      not null default '{}',
    -- Whether it may ask about tokens of others (RFC 7662).
    may_introspect    boolean     not null default false,
    -- SHA-256 of `client_secret`, which is 256 random bits.
    secret_hash       bytea       constraint clients_secret_hash_has_32_bytes check (octet_length(secret_hash) = 32),
    -- Or public keys as a JWK set: the client signs its assertions (RFC 7523).
    jwks              text,
    -- Version that tokens carry as `ver`: raised when all tokens so far are revoked.
    ver               integer     not null default 1
                                  constraint clients_ver_is_positive check (ver > 0),
    created_at        timestamptz not null,
    -- The `exp` of the longest-lived access token minted so far: a revocation must live until then.
    access_expires_at timestamptz,
    revoked_at        timestamptz,
    constraint clients_prove_themselves_in_one_way check ((secret_hash is null) <> (jwks is null))
);
