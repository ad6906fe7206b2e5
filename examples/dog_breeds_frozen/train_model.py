"""Trains a new head on a ResNet-50 whose other layers stay as they are."""

import argparse
import os

import smdebug.pytorch as smd
import torch
import torchvision
import torchvision.transforms as T
from torch import nn


def net(classes):
    model = torchvision.models.resnet50(weights="IMAGENET1K_V2")
    model.requires_grad_(False)
    model.fc = nn.Sequential(nn.Linear(2048, 128), nn.ReLU(inplace=True), nn.Linear(128, classes))
    return model


def loader(args, split):
    transform = T.Compose(
        [
            T.Resize((args.image_size, args.image_size)),
            T.RandomHorizontalFlip(0.5 if split == "train" else 0),
            T.ToTensor(),
            T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    data = torchvision.datasets.ImageFolder(os.path.join(args.data, split), transform)
    return torch.utils.data.DataLoader(data, args.batch_size, shuffle=split == "train")


def train(model, data, criterion, optimizer, hook):
    hook.set_mode(smd.modes.TRAIN)
    model.eval()  # frozen layers keep their statistics, too
    model.fc.train()
    for inputs, labels in data:
        loss = criterion(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def validate(model, data, criterion, hook):
    hook.set_mode(smd.modes.EVAL)
    model.eval()
    loss = sum(criterion(model(inputs), labels).item() * len(labels) for inputs, labels in data)
    print(f"Validation loss: {loss / len(data.dataset):.4f}")


def main(args):
    train_data, valid_data = loader(args, "train"), loader(args, "valid")
    model = net(len(train_data.dataset.classes))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.fc.parameters(), lr=args.lr)

    hook = smd.Hook.create_from_json_file()
    hook.register_hook(model)
    hook.register_loss(criterion)
    for epoch in range(args.epochs):
        print(f"Epoch {epoch + 1} of {args.epochs}")
        train(model, train_data, criterion, optimizer, hook)
        validate(model, valid_data, criterion, hook)

    torch.save(model.fc.state_dict(), os.path.join(args.model_dir, "head.pth"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--data", default=os.environ.get("SM_CHANNEL_TRAINING"))
    parser.add_argument("--model_dir", default=os.environ.get("SM_MODEL_DIR"))
    main(parser.parse_args())
