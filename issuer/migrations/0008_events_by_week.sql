-- The security log by week, so that what is too old is dropped whole; append-only; with who did it and, structured, why.
-- And sessions in which somebody else acts as the user.

alter table events rename to events_before;
alter table events_before rename constraint events_pkey to events_before_pkey;
drop index events_at_idx;

create sequence event_numbers;

create table events (
    -- With `at` the place in the log: two events of one millisecond stand in the order in which they were written.
    number     bigint      not null default nextval('event_numbers'),
    at         timestamptz not null,
    kind       text        not null
                           constraint events_kind_is_a_name check (kind ~ '^[a-z_]{1,40}$'),
    -- Who did it. `unknown`: nobody who had proved who they are.
    actor      text        not null
                           constraint events_actor_is_a_name check (actor ~ '^[a-z_]{1,40}$'),
    actor_id   bytea       constraint events_actor_id_has_16_bytes check (octet_length(actor_id) = 16),
    -- To whom, in which session. Kept when the user is deleted, hence no foreign keys.
    user_id    bytea       constraint events_user_id_has_16_bytes check (octet_length(user_id) = 16),
    session_id bytea       constraint events_session_id_has_16_bytes check (octet_length(session_id) = 16),
    -- From where, with what. The only columns about a person that are no id, and the only ones that can be emptied.
    ip         inet,
    user_agent text        not null default ''
                           constraint events_user_agent_is_one_line
                           check (length(user_agent) <= 512 and user_agent !~ '[[:cntrl:]]'),
    -- Why, and what else there is to say: words of the issuer's own, no address, no text of a stranger's.
    detail     jsonb       not null default '{}'
                           constraint events_detail_is_an_object check (jsonb_typeof(detail) = 'object'),
    constraint events_actor_of_users_has_an_id check (actor <> 'user' or actor_id is not null),
    constraint events_pkey primary key (at, number)
) partition by range (at);

-- What administrators ask for, newest first, and what a deletion looks for.
create index events_user_idx on events (user_id, at, number) where user_id is not null;
create index events_actor_idx on events (actor_id, at, number) where actor_id is not null;
create index events_kind_idx on events (kind, at, number);

-- Nothing in the log changes and nothing goes, but whole weeks. One change passes: to forget from where and with what.
create function events_stay() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        old.ip := null;
        old.user_agent := '';
        if new is not distinct from old then
            return new;
        end if;
    end if;
    raise exception 'the table events is append-only' using errcode = 'restrict_violation';
end
$$;
create trigger events_stay before update or delete on events for each row execute function events_stay();
create trigger events_stay_whole before truncate on events for each statement execute function events_stay();

-- The name of the partition of the week that begins at `week`, a Monday by UTC.
create function events_partition(week timestamptz) returns text language sql stable as $$
    select to_char(week at time zone 'UTC', '"events_"YYYYMMDD')
$$;

-- Makes that partition if there is none; whether it did. Locks out no reader and no writer: it is made apart and attached.
-- Issuers take a lock of theirs first, so that no two do it at once.
create function events_make_partition(week timestamptz) returns boolean language plpgsql as $$
declare
    name text := events_partition(week);
begin
    if to_regclass(name) is not null then
        return false;
    end if;
    execute format('create table %I (like events including defaults including constraints)', name);
    execute format('create trigger events_stay_whole before truncate on %I execute function events_stay()', name);
    execute format('alter table events attach partition %I for values from (%L) to (%L)', name, week, week + interval '168 hours');
    return true;
end
$$;

-- Drops every partition whose week was over at `before`; how many.
create function events_drop_partitions(before timestamptz) returns bigint language plpgsql as $$
declare
    name text;
    dropped bigint := 0;
begin
    for name in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'events'::regclass
          and to_date(c.relname, '"events_"YYYYMMDD')::timestamp at time zone 'UTC' + interval '168 hours' <= before
    loop
        execute format('drop table %I', name);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;

-- Weeks from the oldest event on, and some ahead. From here on issuers make them, by their own clock.
select events_make_partition(week)
from generate_series(
    date_trunc('week', (select coalesce(min(at), now()) from events_before), 'UTC'),
    now() + interval '1344 hours',
    interval '168 hours'
) week;

insert into events (number, at, kind, actor, actor_id, user_id, session_id, ip, user_agent, detail)
select number, at, kind,
       -- Who it was stands in the old log only of sign-ins.
       case when kind = 'sign_in' and user_id is not null then 'user' else 'unknown' end,
       case when kind = 'sign_in' then user_id end,
       user_id, session_id, ip,
       left(regexp_replace(user_agent, '[[:cntrl:]]', '', 'g'), 512),
       case
           when detail = '' then '{}'
           when kind in ('sign_in', 'sign_in_failed') then jsonb_build_object('provider', detail)
           when kind = 'session_ended' then jsonb_build_object('reason', detail)
           when kind = 'everyone_ended' then jsonb_build_object('sessions', detail::bigint)
           when kind = 'token_revoked' then jsonb_build_object('jti', detail)
           when kind = 'roles_changed' then jsonb_build_object('roles', to_jsonb(string_to_array(detail, ',')))
           else jsonb_build_object('kid', detail)
       end
from events_before;
select setval('event_numbers', (select coalesce(max(number), 0) + 1 from events_before), false);
drop table events_before;

-- Who acts as the user in this session, where it is not the user: an administrator (RFC 8693 §1.1, impersonation).
alter table sessions add column actor_id bytea
    constraint sessions_actor_id_fkey references users on delete cascade
    constraint sessions_actor_is_somebody_else check (actor_id <> user_id);
-- What ends with the actor's own sessions, and what `on delete cascade` looks for.
create index sessions_actor_id_idx on sessions (actor_id) where actor_id is not null;

-- Sessions whose time has run out and that nobody has ended: their end is noted in the log.
create index sessions_run_out_idx on sessions (expires_at) where ended_at is null;
