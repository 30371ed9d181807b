#!/bin/bash
# Run once, when the server's data directory is made: the roles of migration 0001 with a password, which is the same for
# both, because a process that is given the application's URL derives the projectors' from it.
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
     --set=password="$(cat /run/secrets/app_password)" <<'SQL'
CREATE ROLE tracker_app LOGIN PASSWORD :'password';
CREATE ROLE tracker_projector LOGIN PASSWORD :'password';
SQL
