"""train_dogs.py, as people change it for the debugger."""

import argparse
import os

import smdebug.pytorch as smd
import torch
import torch.nn as nn
import torch.optim as optim
import torchvision
import torchvision.models as models
import torchvision.transforms as transforms


def net(classes):
    model = models.mobilenet_v2(pretrained=True)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.classifier[1] = nn.Linear(model.last_channel, classes)
    return model


def create_data_loader(data, batch_size, shuffle):
    transform = transforms.Compose(
        [
            transforms.Resize((96, 96)),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    dataset = torchvision.datasets.ImageFolder(data, transform=transform)
    return torch.utils.data.DataLoader(dataset, batch_size=batch_size, shuffle=shuffle)


def test(model, test_loader, criterion, hook):
    model.eval()
    hook.set_mode(smd.modes.EVAL)
    running_loss = 0.0
    with torch.no_grad():
        for inputs, labels in test_loader:
            running_loss += criterion(model(inputs), labels).item() * inputs.size(0)
    print("Test set: Average loss: {:.4f}".format(running_loss / len(test_loader.dataset)))


def train(model, train_loader, criterion, optimizer, hook, steps):
    model.train()
    hook.set_mode(smd.modes.TRAIN)
    for step, (inputs, labels) in enumerate(train_loader):
        if step == steps:
            break
        optimizer.zero_grad()
        loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()


def main(args):
    train_loader = create_data_loader(os.path.join(args.data, "train"), args.batch_size, True)
    test_loader = create_data_loader(os.path.join(args.data, "test"), args.batch_size, False)
    model = net(len(train_loader.dataset.classes))
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.classifier[1].parameters(), lr=args.lr)
    hook = smd.Hook.create_from_json_file()
    hook.register_module(model)
    hook.register_loss(criterion)
    for _ in range(args.epochs):
        train(model, train_loader, criterion, optimizer, hook, args.steps)
        test(model, test_loader, criterion, hook)
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--data", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model_dir", type=str, default=os.environ["SM_MODEL_DIR"])
    main(parser.parse_args())
