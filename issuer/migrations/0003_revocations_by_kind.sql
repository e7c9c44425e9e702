-- Whether one token was revoked: asked with every access token that the issuer itself is shown.
create index revocations_token_idx on revocations (subject) where kind = 'token';
-- The last time that everyone was signed out: asked with every sign-in.
create index revocations_everyone_idx on revocations (before) where kind = 'everyone';
