# The door for people. Checks are defined once, in .ci/run, which runs all of them where it is given no step.

target := env("CARGO_TARGET_DIR", "target")

# What there is
default:
    @just --list

# Serve ./config.toml
run *arguments:
    cargo run --release -- {{ arguments }}

# Format the code
fmt:
    cargo fmt --all

# Clippy, and whether the code is formatted
lint:
    .ci/run fmt lint

# All tests of the workspace
test:
    .ci/run test

# The API documentation, with warnings denied
doc:
    .ci/run doc

# Built-in stages and providers through the C interface of plugins, and that interface under valgrind.
border:
    .ci/run border

# The ledger with a real PostgreSQL
ledger:
    .ci/run ledger

# The official OpenAI SDKs for Python and Node against the binary
sdk:
    .ci/run sdk

# What promtool and a real Prometheus make of the metrics
metrics:
    .ci/run metrics

# The operators' API against its own OpenAPI document
api:
    .ci/run api

# The dashboard in a browser
page:
    .ci/run page

# Licences, bans and duplicates (needs cargo-deny)
deny:
    .ci/run deny

# CPU time per request against a bare pass-through proxy
bench *arguments:
    cargo build --release --bin millgate
    cargo run --release -p millgate-overhead -- run --millgate {{ target }}/release/millgate {{ arguments }}

# Everything that CI checks
ci:
    .ci/run
