#!/usr/bin/env bash
# The whole trip on scikit-learn's handwritten digits, without any network: check, tune, train,
# judge, report, deploy and ask by `clary run`, then explain and export. `make demo` runs it;
# everything it writes goes to demo/. KEEP=1 leaves endpoint and service running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CLARY_HOME="$PWD/demo/home"
# A network this small is trained as fast by one thread, and not slowed down on a busy machine.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

# The service that the demo starts, with a home of its own, ends with it, and its endpoint first.
finish() {
    if [ -n "${KEEP:-}" ]; then return; fi
    clary endpoints delete digits > /dev/null 2>&1 || true
    clary stop > /dev/null
}
trap finish EXIT
if [ -d "$CLARY_HOME" ]; then KEEP='' finish; fi
rm -rf demo
mkdir -p demo

say() { printf '\n\033[1m%s\033[0m\n' "$1"; }
run() { printf '\033[32m$ %s\033[0m\n' "$*"; "$@"; }

say "1. From 1,797 pictures of handwritten digits to an endpoint that answers, by one command."
# The limit is for slow machines: it cuts the search, and then the training.
run clary run digits --time-limit 2m20s

pictures=(demo/home/runs/digits/pictures/*.png)
say "2. The endpoint again, from the command line. The file names tell what is right."
run clary predict digits demo/home/runs/digits/pictures

say "3. Where does the network look?"
run clary explain latest "${pictures[0]}" --output demo/explained.png

say "4. The same model for other programs, its preprocessing inside, its answers compared."
run clary export latest --format openvino --output demo/digits.xml

cp demo/home/jobs/*/output/data/report.html demo/report.html
printf '\n\033[1mDone in %s seconds.\033[0m Open demo/report.html and demo/explained.png.\n' "$SECONDS"
if [ -n "${KEEP:-}" ]; then
    printf 'The endpoint goes on: export CLARY_HOME=%s\n' "$CLARY_HOME"
fi
cat <<'END'
For your own photos, put each class into a folder of its own, then:

    .venv/bin/clary run photos/        all of this; run it again, and what is done is kept
END
