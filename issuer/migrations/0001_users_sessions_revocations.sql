-- Times are written by the issuer's clock, never by now(): all decisions of one request see the same moment.
-- Ids are 128 random bits (shared::id), drawn by the issuer.

create table users (
    id          bytea       constraint users_pkey primary key
                            constraint users_id_has_16_bytes check (octet_length(id) = 16),
    email       text        not null
                            constraint users_email_is_plausible check (email like '_%@_%' and length(email) <= 320),
    name        text        not null,
    roles       text[]      not null default '{}',
    -- Version of the claims that tokens carry as `ver`: raised by every change of roles and by disabling.
    ver         integer     not null default 1
                            constraint users_ver_is_positive check (ver > 0),
    created_at  timestamptz not null,
    disabled_at timestamptz
);
-- One account per address, however it is capitalised; also the index of the sign-in query.
create unique index users_email_key on users (lower(email));

-- Who a user is elsewhere. An identity is (provider, subject), never an e-mail address (OWASP ASVS 5.0, 6.8.1).
create table identities (
    provider   text        not null,
    subject    text        not null,
    user_id    bytea       not null
                           constraint identities_user_id_fkey references users on delete cascade,
    created_at timestamptz not null,
    constraint identities_pkey primary key (provider, subject)
);
create index identities_user_id_idx on identities (user_id);

-- Passwords. Apart from users, so that no query for a user reads one by accident.
create table credentials (
    user_id    bytea       constraint credentials_pkey primary key
                           constraint credentials_user_id_fkey references users on delete cascade,
    -- argon2id as a PHC string: algorithm, parameters, salt and hash together.
    phc        text        not null
                           constraint credentials_phc_is_argon2id check (phc like '$argon2id$%'),
    changed_at timestamptz not null
);

create table sessions (
    id                bytea       constraint sessions_pkey primary key
                                  constraint sessions_id_has_16_bytes check (octet_length(id) = 16),
    user_id           bytea       not null
                                  constraint sessions_user_id_fkey references users on delete cascade,
    -- Age in the order of sign-ins. Drawn while the user's row is locked, so of two sessions of one user the one
    -- with the lower ordinal really is older, even within one millisecond.
    ordinal           bigint      generated always as identity,
    -- How often the session was refreshed. The compare-and-swap of a refresh goes by it.
    generation        bigint      not null default 0
                                  constraint sessions_generation_fits_u32 check (generation between 0 and 4294967295),
    -- SHA-256 of the secret that is sealed in the refresh token.
    secret_hash       bytea       not null
                                  constraint sessions_secret_hash_has_32_bytes check (octet_length(secret_hash) = 32),
    created_at        timestamptz not null,
    auth_time         timestamptz not null,
    -- When `generation` was last raised: the start of the grace window of its predecessor.
    rotated_at        timestamptz not null,
    last_seen_at      timestamptz not null,
    -- The absolute end, counted from the sign-in and never moved.
    expires_at        timestamptz not null,
    -- The `exp` of the longest-lived access token minted so far: a revocation must live until then.
    access_expires_at timestamptz not null,
    ended_at          timestamptz,
    end_reason        text,
    ip                inet,
    user_agent        text        not null default '',
    provider          text        not null,
    constraint sessions_end_has_a_reason check ((ended_at is null) = (end_reason is null))
);
-- A user's live sessions, oldest first: the limit, the list, ending all of them.
create index sessions_live_by_user_idx on sessions (user_id, ordinal) where ended_at is null;
-- What the sweep deletes, and what `on delete cascade` looks for.
create index sessions_expires_at_idx on sessions (expires_at);
create index sessions_ended_at_idx on sessions (ended_at) where ended_at is not null;
create index sessions_user_id_idx on sessions (user_id);

-- What edges refuse, until the last access token that a row could touch has expired.
create table revocations (
    number     bigint      generated always as identity
                           constraint revocations_pkey primary key,
    -- The transaction that wrote the row. `number` is drawn before the commit, so a reader can see 10 while 9 is still
    -- invisible. A reader that remembers the oldest transaction still running when it read (pg_snapshot_xmin), and
    -- next time reads from there, loses nothing.
    xid        xid8        not null default pg_current_xact_id(),
    kind       text        not null
                           constraint revocations_kind_is_known check (kind in ('token', 'session', 'user', 'everyone')),
    -- The jti, sid or sub that is refused; of everyone: nothing.
    subject    bytea       constraint revocations_subject_has_16_bytes check (octet_length(subject) = 16),
    -- Of a user: tokens with a lower `ver` are refused.
    below      integer     constraint revocations_below_is_positive check (below > 0),
    -- Of everyone: tokens issued before are refused.
    before     timestamptz,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    constraint revocations_shape check (
        case kind
            when 'user'     then subject is not null and below is not null and before is null
            when 'everyone' then subject is null and below is null and before is not null
            else                 subject is not null and below is null and before is null
        end
    )
);
-- The live ones for a snapshot, the dead ones for the sweep.
create index revocations_expires_at_idx on revocations (expires_at);

-- Ed25519 keys that sign access tokens. Which one signs follows from the times alone, so that every process agrees:
-- the youngest that is active. A key is published from its creation on, and verifies until it is deleted.
create table signing_keys (
    kid          text        constraint signing_keys_pkey primary key,
    -- The seed, sealed with ENCRYPTION_KEY (shared::seal).
    sealed_seed  bytea       not null,
    created_at   timestamptz not null,
    activates_at timestamptz not null,
    constraint signing_keys_active_after_creation check (activates_at >= created_at)
);

-- The security log (OWASP ASVS 5.0, V16). Kept when its user is deleted, hence no foreign key.
create table events (
    number     bigint      generated always as identity
                           constraint events_pkey primary key,
    at         timestamptz not null,
    kind       text        not null,
    user_id    bytea,
    session_id bytea,
    ip         inet,
    user_agent text        not null default '',
    detail     text        not null default ''
);
create index events_at_idx on events (at);
