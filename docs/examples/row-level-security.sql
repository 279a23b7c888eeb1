-- Rows for the person who asks: what PostgreSQL needs, so that an agent reads with the token of a turn the rows of that
-- turn's user and no others. docs/row-level-security.md tells what each part is for.
--
-- Run it once in the application's database, as someone who may make roles and extensions and owns the tables. The secret
-- comes from the environment, where the agents' server has it, too:
--
--     (set -a; . /etc/paliadin/environment; exec psql -X -f row-level-security.sql service=owner)

\set ON_ERROR_STOP on
\set QUIET on
\set secret `printf %s "$PALIADIN_JWT_SECRET"`
select octet_length(:'secret') < 32 as is_short \gset
\if :is_short
do $$ begin raise exception 'PALIADIN_JWT_SECRET is not set, or has less than 32 bytes'; end $$;
\endif

begin;

-- The roles: the agent connects as one that may do nothing by itself, and takes on `authenticated` for a transaction.
-- Supabase has that one already.
select 'create role authenticated nologin'
  where not exists (select from pg_roles where rolname = 'authenticated') \gexec
select 'create role paliadin_agent login noinherit'
  where not exists (select from pg_roles where rolname = 'paliadin_agent') \gexec
grant authenticated to paliadin_agent;

-- The function that verifies a token and says whose it is. Only its owner can read the secret.
create schema paliadin;
create extension if not exists pgcrypto with schema paliadin;

create table paliadin.secret (value text not null);
revoke all on paliadin.secret from public;
insert into paliadin.secret values (:'secret');

create function paliadin.bytes(part text) returns bytea
language sql immutable strict as
$$ select decode(translate(part, '-_', '+/') || repeat('=', -length(part) & 3), 'base64') $$;

create function paliadin.user_id() returns uuid
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  token text := nullif(current_setting('request.jwt.token', true), '');
  parts text[] := string_to_array(token, '.');
  signed bytea;
  claims json;
begin
  if token is null then
    return null;
  end if;
  select paliadin.hmac(parts[1] || '.' || parts[2], value, 'sha256') into strict signed from paliadin.secret;
  -- Compared by hash, so that the time it takes tells nothing.
  if cardinality(parts) <> 3 or sha256(signed) is distinct from sha256(paliadin.bytes(parts[3])) then
    raise exception 'the token is not valid' using errcode = 'invalid_authorization_specification';
  end if;
  claims := convert_from(paliadin.bytes(parts[2]), 'UTF8')::json;
  if claims ->> 'role' is distinct from 'authenticated' then
    raise exception 'the token is for another role' using errcode = 'invalid_authorization_specification';
  end if;
  if coalesce((claims ->> 'exp')::numeric, 0) <= extract(epoch from clock_timestamp()) then
    raise exception 'the token has expired' using errcode = 'invalid_authorization_specification';
  end if;
  return (claims ->> 'sub')::uuid;
end $$;

revoke all on all functions in schema paliadin from public;
grant usage on schema paliadin to authenticated;
grant execute on function paliadin.user_id() to authenticated;

-- A table of the application. Its `owner_id` is the person's id in Paliadin, which is the token's `sub`.
create table deals (
  id bigint generated always as identity primary key,
  owner_id uuid not null,
  title text not null,
  stage text not null,
  amount numeric
);
create index on deals (owner_id);

-- The policy. `(select …)`: the token is verified once for a query, and not for each row.
alter table deals enable row level security;
alter table deals force row level security;
grant select on deals to authenticated;

create policy deals_of_the_person on deals for select to authenticated
  using (owner_id = (select paliadin.user_id()));

commit;
