-- A signing key that was withdrawn is announced as a revocation, so that edges refuse its tokens within the same bound. The
-- subject is the first 16 bytes of SHA-256 of the kid.
alter table revocations
    drop constraint revocations_kind_is_known,
    add constraint revocations_kind_is_known check (kind in ('token', 'session', 'user', 'everyone', 'key'));
