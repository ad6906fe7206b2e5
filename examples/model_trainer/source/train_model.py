"""Trains a new classifier on a MobileNetV2 that knows ImageNet."""

import argparse
import os

import torch
import torchvision
import torchvision.transforms as T
from smdebug import modes
from smdebug.pytorch import get_hook
from torch import nn


def net(classes):
    model = torchvision.models.mobilenet_v2(weights="IMAGENET1K_V1")
    model.requires_grad_(False)
    model.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(model.last_channel, classes))
    return model


def loader(folder, args, training):
    transform = T.Compose(
        [
            T.Resize(args.image_size + args.image_size // 8),
            T.RandomCrop(args.image_size) if training else T.CenterCrop(args.image_size),
            T.RandomHorizontalFlip(0.5 if training else 0),
            T.ToTensor(),
            T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    data = torchvision.datasets.ImageFolder(folder, transform)
    return torch.utils.data.DataLoader(data, args.batch_size, shuffle=training)


def train(model, data, criterion, optimizer, hook):
    if hook:
        hook.set_mode(modes.TRAIN)
    model.eval()  # frozen layers keep their statistics, too
    model.classifier.train()
    for inputs, labels in data:
        loss = criterion(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def validate(model, data, criterion, hook):
    if hook:
        hook.set_mode(modes.EVAL)
    model.eval()
    loss, right = 0.0, 0
    for inputs, labels in data:
        logits = model(inputs)
        loss += criterion(logits, labels).item() * len(labels)
        right += (logits.argmax(1) == labels).sum().item()
    count = len(data.dataset)
    print(f"validation loss: {loss / count:.4f}; validation accuracy: {right / count:.4f}")


def main(args):
    train_data = loader(args.train, args, training=True)
    valid_data = loader(args.valid, args, training=False)
    model = net(len(train_data.dataset.classes))
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.classifier.parameters(), lr=args.lr)

    hook = get_hook(create_if_not_exists=True)  # none where the job is not watched
    if hook:
        hook.register_hook(model)
        hook.register_loss(criterion)
    for _ in range(args.epochs):
        train(model, train_data, criterion, optimizer, hook)
        validate(model, valid_data, criterion, hook)

    torch.save(
        {"classes": train_data.dataset.classes, "weights": model.state_dict()},
        os.path.join(os.environ["SM_MODEL_DIR"], "model.pth"),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--valid", default=os.environ.get("SM_CHANNEL_VALID"))
    main(parser.parse_args())
