-- Whether an edge asked for the present generation, in the middle of a browser's request. Its cookies reach the browser with the
-- origin's answer, which may be late: so the generation before is accepted for longer than after a refresh of the browser's own.
alter table sessions add column renewed_by_edge boolean not null default false;
