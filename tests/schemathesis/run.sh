#!/usr/bin/env bash
# Drives the operators' API as its own OpenAPI document describes it, with schemathesis: run.sh MILLGATE [EXAMPLES]
#
# Twice: without a token, and with one. Events are left out: they have no end. CARGO_TARGET_DIR is where schemathesis is
# installed from PyPI.
set -euo pipefail
millgate="$(realpath "$1")"
examples="${2:-40}"
venv="${CARGO_TARGET_DIR:-$PWD/target}/schemathesis-venv"
here="$(realpath "$(dirname "${BASH_SOURCE[0]}")")"
[ -x "$venv/bin/st" ] || {
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
}

folder="$(mktemp -d)"
gateway=
finish() {
    [ -z "$gateway" ] || kill "$gateway" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT

# Starts a gateway on free ports, has schemathesis drive it, and stops it.
drive() {
    local token="$1"
    shift
    cat >"$folder/config.toml" <<TOML
pipeline = ["limit", "cache", "route"]
[admin]
token = "$token"
[stages.limit]
kind = "rate_limit"
requests = "600/min"
[stages.cache]
[providers.rehearsal]
[routes.default]
targets = ["rehearsal"]
TOML
    mkfifo "$folder/greeting"
    (cd "$folder" && exec env -i PATH="$PATH" "$millgate" serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0) \
        >"$folder/greeting" 2>"$folder/log" &
    gateway=$!
    local line clients='' operators=''
    while read -r line; do
        if [[ "$line" == listening* ]]; then
            clients="$(sed -E 's|.*(http://[0-9.:]+)/v1.*|\1|' <<<"$line")"
            operators="$(sed -E 's|.*operators: (http://[0-9.:]+)\).*|\1|' <<<"$line")"
            break
        fi
    done <"$folder/greeting"
    rm "$folder/greeting"
    # Something to tell of.
    local body='{"model":"any","messages":[{"role":"user","content":"hi"}]}'
    for _ in 1 2 3; do
        curl --silent --fail --output /dev/null "$clients/v1/chat/completions" -H 'content-type: application/json' -d "$body"
    done
    (cd "$folder" && "$venv/bin/st" --config-file "$here/schemathesis.toml" run "$here/../../src/admin/openapi.json" --url "$operators" \
        --exclude-path /api/events --max-examples "$examples" --warnings off --seed 1 "$@")
    kill "$gateway"
    wait "$gateway" || true
    gateway=
}

echo "── without a token ──"
drive "" --exclude-checks ignored_auth
echo "── with a token ──"
drive "a-token-of-the-operators" --header "Authorization: Bearer a-token-of-the-operators"
