#!/usr/bin/env bash
# MLflow's tracking server for a team: PostgreSQL, S3, allowed hosts only, a password for all users.
#   python3 -m venv ~/mlflow-env && ~/mlflow-env/bin/pip install -r cluster/mlflow/requirements.txt
#   PATH=~/mlflow-env/bin:$PATH cluster/mlflow/serve.sh
# Edit these lines, or set the variables.

# A PostgreSQL database; its password is in ~/.pgpass, not here.
: "${MLFLOW_DATABASE:=postgresql+psycopg://mlflow@db.example.org/mlflow}"
# The folder of models. Access by ~/.aws or the machine's role. For a store other than AWS set
# MLFLOW_S3_ENDPOINT_URL.
: "${MLFLOW_ARTEFACTS:=s3://bucket/mlflow}"
# The host names by which clients may call this server.
: "${MLFLOW_NAMES:=mlflow.example.org,mlflow.example.org:5000,localhost:5000}"
: "${MLFLOW_ADDRESS:=0.0.0.0}"
: "${MLFLOW_LISTENS_AT:=5000}"
: "${MLFLOW_PROCESSES:=4}"
# Contains admin_password (12 characters or more, mode 0600; write it before) and session_key.
: "${MLFLOW_SECRETS:=$HOME/.mlflow}"

# Works unchanged from here.
set -euo pipefail
umask 077

fail() {
    echo "error: $1" >&2
    exit 2
}

readonly password=$MLFLOW_SECRETS/admin_password session_key=$MLFLOW_SECRETS/session_key
[[ -s $password ]] || fail "$password: write the administrator's password there"
[[ $(stat --format=%a "$password") == [46]00 ]] || fail "$password: others can read it: chmod 600"
[[ -s $session_key ]] || od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$session_key"

# Users and their permissions are in the same database as the runs.
MLFLOW_AUTH_CONFIG_PATH=$MLFLOW_SECRETS/authentication.ini
cat >"$MLFLOW_AUTH_CONFIG_PATH" <<INI
[mlflow]
default_permission = READ
database_uri = $MLFLOW_DATABASE
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 60
INI
export MLFLOW_AUTH_CONFIG_PATH
MLFLOW_AUTH_ADMIN_PASSWORD=$(<"$password")
MLFLOW_FLASK_SERVER_SECRET_KEY=$(<"$session_key")
export MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false # else ten more processes, for unused jobs
export MLFLOW_DISABLE_TELEMETRY=true

# Once, before the workers, which would otherwise create the tables at the same time.
python -m mlflow.server.auth db upgrade --url "$MLFLOW_DATABASE"

exec mlflow server --app-name basic-auth \
    --host "$MLFLOW_ADDRESS" --port "$MLFLOW_LISTENS_AT" --workers "$MLFLOW_PROCESSES" \
    --backend-store-uri "$MLFLOW_DATABASE" --artifacts-destination "$MLFLOW_ARTEFACTS" \
    --allowed-hosts "$MLFLOW_NAMES"
