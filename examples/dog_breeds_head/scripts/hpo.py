"""What the tuner runs: a head for 133 breeds on a frozen MobileNetV2."""

import argparse
import logging
import os
import sys

import torch
from torch import nn, optim
from torchvision import datasets, models, transforms

logger = logging.getLogger(__name__)
logger.setLevel(logging.DEBUG)
logger.addHandler(logging.StreamHandler(sys.stdout))

NUM_CLASSES = 133


def net():
    model = models.mobilenet_v2(pretrained=True)
    for param in model.parameters():
        param.requires_grad = False
    model.classifier[1] = nn.Linear(model.last_channel, NUM_CLASSES)
    return model


def create_data_loaders(data, image_size, batch_size):
    normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    training_transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(image_size, scale=(0.5, 1)),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            normalize,
        ]
    )
    testing_transform = transforms.Compose(
        [transforms.Resize((image_size, image_size)), transforms.ToTensor(), normalize]
    )
    loaders = []
    for split in ("train", "valid", "test"):
        training = split == "train"
        dataset = datasets.ImageFolder(
            os.path.join(data, split), training_transform if training else testing_transform
        )
        loaders.append(torch.utils.data.DataLoader(dataset, batch_size, shuffle=training))
    return loaders


def train(model, train_loader, criterion, optimizer, device):
    # The frozen layers keep the statistics they were trained with.
    model.eval()
    model.classifier.train()
    for step, (images, labels) in enumerate(train_loader):
        optimizer.zero_grad()
        loss = criterion(model(images.to(device)), labels.to(device))
        loss.backward()
        optimizer.step()
        logger.debug("step %d of %d, loss %.4f", step + 1, len(train_loader), loss.item())


def test(model, loader, criterion, device, name):
    model.eval()
    running_loss, running_corrects = 0.0, 0
    with torch.no_grad():
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            outputs = model(images)
            running_loss += criterion(outputs, labels).item() * images.size(0)
            running_corrects += (outputs.argmax(1) == labels).sum().item()
    count = len(loader.dataset)
    average = running_loss / count
    logger.info(f"{name} set: Average loss: {average:.4f}, Accuracy: {running_corrects}/{count}")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--data_dir", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model_dir", type=str, default=os.environ["SM_MODEL_DIR"])
    return parser.parse_args()


def main(args):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader, valid_loader, _ = create_data_loaders(
        args.data_dir, args.image_size, args.batch_size
    )
    model = net().to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.classifier.parameters(), lr=args.lr)
    for _ in range(args.epochs):
        train(model, train_loader, criterion, optimizer, device)
        test(model, valid_loader, criterion, device, "Validation")
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))


if __name__ == "__main__":
    main(arguments())
