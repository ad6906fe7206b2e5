"""CIFAR-10 from its pickled batches, and the network that learns it."""

import os
import pickle

import numpy as np
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

CLASSES = 10
NORMALIZE = transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


class CIFAR10(Dataset):
    """Images of one or more batches: rows of 1,024 red, 1,024 green and 1,024 blue values."""

    def __init__(self, folder, names, transform):
        rows, self.labels = [], []
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                batch = pickle.load(file, encoding="bytes")
            rows.append(batch[b"data"])
            self.labels += batch[b"labels"]
        self.images = np.concatenate(rows).reshape(-1, 3, 32, 32)
        self.transform = transform

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        # ToTensor scales to 0…1 and wants height × width × channels.
        return self.transform(self.images[index].transpose(1, 2, 0)), self.labels[index]


def create_data_loaders(folder, batch_size):
    names = sorted(name for name in os.listdir(folder) if name.startswith("data_batch"))
    learning = transforms.Compose(
        [transforms.ToTensor(), transforms.RandomHorizontalFlip(), NORMALIZE]
    )
    testing = transforms.Compose([transforms.ToTensor(), NORMALIZE])
    train_loader = DataLoader(
        CIFAR10(folder, names, learning), batch_size=batch_size, shuffle=True, drop_last=True
    )
    test_loader = DataLoader(CIFAR10(folder, ["test_batch"], testing), batch_size=128)
    return train_loader, test_loader


def net(pretrained):
    model = models.resnet18(pretrained=pretrained)
    model.fc = nn.Linear(model.fc.in_features, CLASSES)
    return model
