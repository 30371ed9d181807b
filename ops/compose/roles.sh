#!/bin/bash
# Run once, when the server's data directory is made: the roles of migrations 0001 and 0102 with a password, which is the
# same for all, because a process derives their URLs from that of the application unless it is given others.
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
     --set=password="$(cat /run/secrets/app_password)" <<'SQL'
CREATE ROLE tracker_app LOGIN PASSWORD :'password';
CREATE ROLE tracker_projector LOGIN PASSWORD :'password';
CREATE ROLE tracker_query LOGIN PASSWORD :'password';
CREATE ROLE tracker_audit LOGIN PASSWORD :'password';
CREATE ROLE tracker_backup LOGIN PASSWORD :'password';
SQL
