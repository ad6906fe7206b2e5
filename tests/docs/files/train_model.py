import argparse
import os

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int)
parser.add_argument("--batch-size", type=int)
parser.add_argument("--lr", type=float, default=0.01)
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
words = parser.parse_args()

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))
model(torch.zeros(1, 3, 48, 48))
print(f"Testing Loss: {0.5 / words.epochs}")
torch.jit.script(model).save(f"{words.model_dir}/model.pt")
