"""A training script as people write it for SageMaker's PyTorch container."""

import argparse
import json
import logging
import os
import sys

import torch
import torch.nn as nn
import torch.optim as optim
import torchvision
import torchvision.models as models
import torchvision.transforms as transforms

logger = logging.getLogger(__name__)
logger.setLevel(logging.DEBUG)
logger.addHandler(logging.StreamHandler(sys.stdout))


def net(classes):
    model = models.mobilenet_v2(pretrained=True)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.classifier[1] = nn.Linear(model.last_channel, classes)
    return model


def create_data_loader(data, batch_size, shuffle):
    transform = transforms.Compose([transforms.Resize((96, 96)), transforms.ToTensor()])
    dataset = torchvision.datasets.ImageFolder(data, transform=transform)
    return torch.utils.data.DataLoader(dataset, batch_size=batch_size, shuffle=shuffle)


def test(model, test_loader, criterion):
    model.eval()
    running_loss, corrects = 0.0, 0
    for inputs, labels in test_loader:
        outputs = model(inputs)
        running_loss += criterion(outputs, labels).item() * inputs.size(0)
        corrects += torch.sum(outputs.argmax(1) == labels).item()
    total = len(test_loader.dataset)
    logger.info("Test set: Average loss: {:.4f}, Accuracy: {}/{}".format(running_loss / total, corrects, total))


def train(model, train_loader, criterion, optimizer, steps):
    model.train()
    for step, (inputs, labels) in enumerate(train_loader):
        if step == steps:
            break
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
        logger.info(f"step {step} loss {loss.item():.4f}")


def main(args):
    logger.info(f"Hyperparameters: lr={args.lr} batch={args.batch_size}")
    logger.info(f"Data: {sorted(os.listdir(args.data))} on hosts {json.loads(os.environ['SM_HOSTS'])}")
    train_loader = create_data_loader(os.path.join(args.data, "train"), args.batch_size, True)
    test_loader = create_data_loader(os.path.join(args.data, "test"), args.batch_size, False)
    model = net(len(train_loader.dataset.classes))
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.classifier[1].parameters(), lr=args.lr)
    for _ in range(args.epochs):
        train(model, train_loader, criterion, optimizer, args.steps)
        test(model, test_loader, criterion)
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))
    with open(os.path.join(args.output_dir, "classes.json"), "w") as file:
        json.dump(train_loader.dataset.classes, file)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--data", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model_dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--output_dir", type=str, default=os.environ["SM_OUTPUT_DATA_DIR"])
    main(parser.parse_args())
