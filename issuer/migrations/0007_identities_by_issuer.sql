-- An identity is (issuer, subject): the name that the configuration gives to a provider may change, its issuer does not.
-- Nothing has written to this table before.
alter table identities rename column provider to issuer;

-- Whether the address was told by a provider that had not verified it. Nobody else's identity is linked to such an account.
alter table users add column email_is_unproven boolean not null default false;

-- Of a session that began at a provider: whose it is there, and the provider's own session (OpenID Connect Back-Channel
-- Logout 1.0 §2.1).
alter table sessions
    add column provider_issuer  text,
    add column provider_subject text,
    add column provider_sid     text,
    add constraint sessions_provider_is_whole check (
        (provider_issuer is null) = (provider_subject is null) and (provider_sid is null or provider_issuer is not null));
-- What a logout token ends.
create index sessions_provider_subject_idx on sessions (provider_issuer, provider_subject)
    where ended_at is null and provider_issuer is not null;
create index sessions_provider_sid_idx on sessions (provider_issuer, provider_sid)
    where ended_at is null and provider_sid is not null;

-- What serves once, and who has just signed out at a provider; as the SHA-256 of what it is, for as long as it matters.
create table spent (
    purpose    text        not null,
    digest     bytea       not null
                           constraint spent_digest_has_32_bytes check (octet_length(digest) = 32),
    -- Of who has signed out: when.
    at         timestamptz,
    expires_at timestamptz not null,
    constraint spent_pkey primary key (purpose, digest)
);
create index spent_expires_at_idx on spent (expires_at);
