#!/usr/bin/env bash
# Has libFuzzer look for inputs that break the checks called `fuzzed_…` (src/fuzz.rs), guided by coverage.
#
#   tests/fuzz/guided.sh [SECONDS [TARGET…]]     60 s each, all of them
#
# Begins with the kept inputs. What it finds on the way stays in .cache/fuzz/<target>/, what breaks a check in
# .cache/fuzz/broken/; that belongs into tests/fuzz/<target>/ once it is mended. Needs a C++ compiler, and some minutes for
# a build of its own in target/fuzz.
set -euo pipefail
cd "$(dirname "$0")/../.."

declare -A tests=(
    [body_framing]=net::http1::decode::tests::fuzzed_bodies_are_the_same_however_they_arrive
    [config]=config::build::tests::fuzzed_files_are_taken_up_or_refused_with_a_line
    [cookies]=proxy::headers::tests::fuzzed_cookies_never_carry_our_session
    [next]=hub::landing::tests::fuzzed_next_addresses_stay_on_this_site
    [path]=model::path::tests::fuzzed_paths_lead_to_one_server_however_they_are_read
    [request_head]=net::http1::request::tests::fuzzed_heads_mean_the_same_however_they_arrive
    [rule]=routers::rule::tests::fuzzed_rules_are_read_or_refused_with_a_sentence
    [set_cookie]=proxy::headers::tests::fuzzed_set_cookies_stay_within_their_server
)
seconds=${1:-60}
shift || true
targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <(printf '%s\n' "${!tests[@]}" | sort)
for target in "${targets[@]}"; do
    [ -n "${tests[$target]:-}" ] || { echo "no target is called $target; there are: ${!tests[*]}" >&2; exit 2; }
done

# What cargo-bolero sets, for the tests of the library alone: nothing else has libFuzzer in it. With --target the flags are
# not for what builds.
coverage='-Cllvm-args=-sanitizer-coverage'
export BOLERO_FUZZER=libfuzzer RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module --cfg fuzzing_libfuzzer \
$coverage-inline-8bit-counters $coverage-level=4 $coverage-pc-table $coverage-trace-compares $coverage-stack-depth"
host=$(rustc -vV | sed -n 's/^host: //p')
cargo test --locked --lib --no-run --profile fuzz --target "$host" --target-dir target/fuzz
binary=$(ls -t "target/fuzz/$host"/fuzz/deps/slipway-* | grep -v '\.' | head -n 1)

cache=$PWD/.cache/fuzz
mkdir -p "$cache/broken"
for target in "${targets[@]}"; do
    mkdir -p "$cache/$target"
    cp "tests/fuzz/$target"/* "$cache/$target/"
    echo "== $target, $seconds s"
    BOLERO_LIBFUZZER_ARGS="$cache/$target -artifact_prefix=$cache/broken/$target- -max_total_time=$seconds -max_len=4096 -timeout=10 -print_final_stats=1" \
        "$binary" "${tests[$target]}" --exact --nocapture --test-threads=1
done
