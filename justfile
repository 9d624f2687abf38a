# `just` lists what there is to do.

[private]
default:
    @just --list --unsorted

# serve, with a private Postgres and a token to try it with
run *arguments:
    cargo run -- {{arguments}}

# the tests; what this machine lacks is skipped
test *filter:
    cargo test -- {{filter}}

# everything that has to hold before a change lands: exactly what CI runs
check:
    .ci/run

# the tests on every major version of Postgres that will do: 15, 16, 17, 18 (minutes each)
majors *which:
    .ci/majors {{which}}

# generate clients in three languages and let them talk, and make up requests (downloads, takes minutes)
clients:
    TABLETALK_TEST_CLIENTS=1 cargo test --test it -- --nocapture clients::a_client fuzz:: realtime::asyncapi::the_tools

# measure a release server beside pgbench and others (ten minutes): just bench --help
bench *arguments:
    cargo bench --bench load -- {{arguments}}

# format and lint
lint:
    cargo fmt
    cargo clippy --all-targets -- -D warnings

# write openapi/openapi.json, openapi/asyncapi.yaml, sql/schema.sql and sql/policies.md anew
generate:
    #!/usr/bin/env bash
    set -euo pipefail
    fresh=$(mktemp -d) && chmod 711 "$fresh" && trap 'rm -rf "$fresh"' EXIT
    for page in openapi asyncapi; do cargo run -q -- "$page" > "$fresh/$page"; done
    for page in schema policies; do cargo run -q -- --data "$fresh/data" schema "$page" > "$fresh/$page"; done
    cp "$fresh/openapi" openapi/openapi.json
    cp "$fresh/asyncapi" openapi/asyncapi.yaml
    cp "$fresh/schema" sql/schema.sql
    cp "$fresh/policies" sql/policies.md

# at a release: no migration of today is edited again
freeze:
    cd sql && { head -1 frozen.txt; sha256sum bootstrap.sql $(ls migrations/V*.sql | sort -V); } > frozen.new && mv frozen.new frozen.txt

# psql inside a transaction as someone, to see what they see: just sql alice
sql as="alice":
    cargo run -q -- psql --as {{as}}

# a token for someone: just token bob
token who="alice":
    @cargo run -q -- token {{who}}

# may somebody do something, and why: just why alice update messages <id>
why *question:
    @cargo run -q -- why {{question}}

# is a database safe to serve from?
audit:
    cargo run -q -- check

# the pgTAP suites alone
pgtap:
    cargo test --test it sql:: -- --nocapture
