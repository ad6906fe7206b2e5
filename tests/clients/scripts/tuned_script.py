"""A training script as people tune it, whose loss follows from what it is given."""

import argparse
import math
import os
import time

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    print(f"lr={args.lr} batch_size={args.batch_size} epochs={args.epochs}")
    # Best at 0.01; what diverges waits in the epochs in which it is judged, to be stopped there.
    distance = abs(math.log10(args.lr) + 2) + args.batch_size / 10000
    for epoch in range(1, args.epochs + 1):
        print(f"Epoch {epoch}: Test set: Average loss: {distance + 1 / epoch:.6f}", flush=True)
        time.sleep(0.02 if args.lr <= 1 else 0.1 if epoch < 12 else 60)
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "weights.txt"), "w") as file:
        file.write(f"{args.lr} {args.batch_size}")
