#!/usr/bin/env bash
# The whole trip on scikit-learn's handwritten digits, without any network: check, train, report,
# explain, export, predict. `make demo` runs it; everything it writes goes to demo/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CLARY_HOME="$PWD/demo/home"
# The service that the demo starts, with a home of its own, ends with it.
trap 'clary stop > /dev/null' EXIT
if [ -d "$CLARY_HOME" ]; then clary stop > /dev/null; fi
rm -rf demo
mkdir -p demo
# A network this small is trained as fast by one thread, and not slowed down on a busy machine.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

say() { printf '\n\033[1m%s\033[0m\n' "$1"; }
run() { printf '\033[32m$ %s\033[0m\n' "$*"; "$@"; }

say "1. What is in the data? 1,797 pictures of handwritten digits, in 10 classes."
run clary check digits --image-size 32

say "2. Train a small network from scratch: no downloaded weights are needed for digits."
run clary train digits --name digits --model test_resnet --weights none --image-size 32 \
    --augmentation none --epochs 5 --lr 0.004

say "3. One page about the training: curves, confusion matrix, the worst mistakes."
run clary report digits --output demo/report.html

say "4. Ten pictures that the network has never seen, and where it looks on one of them."
run python examples/digit_pictures.py demo/pictures
run clary explain digits demo/pictures/digit-5.png --output demo/explained.png

say "5. The same model for other programs, its preprocessing inside, its answers compared."
run clary export digits --format openvino --output demo/digits.xml

say "6. What is on the pictures? The file names tell what is right."
run clary predict digits demo/pictures

printf '\n\033[1mDone in %s seconds.\033[0m Open demo/report.html and demo/explained.png.\n' "$SECONDS"
cat <<'END'
For your own photos, put each class into a folder of its own, then:

    .venv/bin/clary train photos/        checks them, trains, judges, and says what to type next
END
