#!/usr/bin/env bash
# One study, several workers, and a PostgreSQL server between them, started here on loopback and stopped at the end:
#
#   examples/tuning_on_postgresql.sh FOLDER WORKERS OPTIONS_OF_TRAIN...
#   examples/tuning_on_postgresql.sh tuning 2 --algo diiqn --env CartPole-v1 -n 5000 --n-trials 10
#
# FOLDER keeps the database: the same command goes on with the study. Needs the system's PostgreSQL (Debian: apt install postgresql)
# and a driver (pip install 'psycopg[binary]'). For workers on other machines: see docs/zoo.md.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }

folder=$(mkdir -p "$1" && cd "$1" && pwd)
workers=$2
shift 2
port=${PGPORT:-54329}
python=${PYTHON:-python}
for tools in "$(pg_config --bindir 2>/dev/null || true)" /usr/lib/postgresql/*/bin; do
    [ -x "$tools/initdb" ] && break
done
[ -x "$tools/initdb" ] || { echo "There is no PostgreSQL server here: apt install postgresql" >&2; exit 2; }

# the server refuses to run as root
as_server() {
    if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

data=$folder/postgresql
password_file=$folder/password
if [ ! -s "$password_file" ]; then
    (umask 077 && head -c 18 /dev/urandom | base64 | tr '+/' '-_' > "$password_file")
fi
if [ ! -d "$data" ]; then
    mkdir "$data"
    readable=$(mktemp)
    cat "$password_file" > "$readable"
    if [ "$(id -u)" = 0 ]; then chown postgres "$data" "$readable"; fi
    as_server "$tools/initdb" --pgdata "$data" --username optuna --auth scram-sha-256 --pwfile "$readable" > /dev/null
    rm "$readable"
fi
as_server "$tools/pg_ctl" --pgdata "$data" --silent --wait \
    --options "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=''" --log "$data/server.log" start
trap 'as_server "$tools/pg_ctl" --pgdata "$data" --silent --mode fast stop' EXIT

export PGPASSWORD
PGPASSWORD=$(cat "$password_file")
database() { "$tools/psql" --host 127.0.0.1 --port "$port" --username optuna --no-align --tuples-only --quiet "$@"; }
if [ "$(database --dbname postgres --command "SELECT count(*) FROM pg_database WHERE datname = 'studies'")" = 0 ]; then
    database --dbname postgres --command "CREATE DATABASE studies"
fi

# the driver takes the password from PGPASSWORD: it is neither in the command line nor in a log
storage=postgresql+psycopg://optuna@127.0.0.1:$port/studies
echo "Look at it with: PGPASSWORD=\$(cat $password_file) optuna-dashboard $storage"
"$python" -c "import optuna, sys; optuna.storages.RDBStorage(sys.argv[1])" "$storage"  # the tables, before the workers race for it
pids=()
for worker in $(seq "$workers"); do
    "$python" -m sb3_diiqn.zoo train "$@" --optimize --no-optim-plots --num-threads 1 \
        --study-name tuning --storage "$storage" > "$folder/worker-$worker.log" 2>&1 &
    pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
[ $failed = 0 ] || { echo "A worker failed, see $folder/worker-*.log" >&2; exit 1; }
database --dbname studies --command "SELECT count(*) || ' trials: ' || string_agg(DISTINCT state::text, ', ') FROM trials"
