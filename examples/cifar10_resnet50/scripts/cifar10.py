"""CIFAR-10 fetched from S3 by the job itself, as the pickled batches that it is published in."""

import os
import pickle
import tarfile
from urllib.parse import urlparse

import boto3
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

MEAN = np.array([0.4914, 0.4822, 0.4465], dtype=np.float32).reshape(3, 1, 1)
STD = np.array([0.2470, 0.2435, 0.2616], dtype=np.float32).reshape(3, 1, 1)


def download_batches(bucket, prefix, folder):
    s3 = boto3.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    for page in pages:
        for item in page["Contents"]:
            name = os.path.basename(item["Key"])
            print(f"Downloading {name}, {item['Size']:,} bytes")
            s3.download_file(bucket, item["Key"], os.path.join(folder, name))


def download_weights(weight_path, folder):
    """Unpack the model.pth of an earlier training, given its s3://…/model.tar.gz."""
    place = urlparse(weight_path)
    archive = os.path.join(folder, "model.tar.gz")
    boto3.client("s3").download_file(place.netloc, place.path.lstrip("/"), archive)
    with tarfile.open(archive) as tar:
        tar.extract("model.pth", folder)
    return os.path.join(folder, "model.pth")


def as_images(rows):
    """Rows of 3,072 bytes, red, green and blue one after the other, become normalised images."""
    images = np.asarray(rows, dtype=np.float32).reshape(-1, 3, 32, 32) / 255
    return torch.from_numpy((images - MEAN) / STD)


def load(folder, names):
    rows, labels = [], []
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            batch = pickle.load(file, encoding="bytes")
        rows.append(batch[b"data"])
        labels += batch[b"labels"]
    return TensorDataset(as_images(np.concatenate(rows)), torch.tensor(labels))


def create_data_loaders(folder, batch_size):
    names = sorted(name for name in os.listdir(folder) if name.startswith("data_batch"))
    train_set, test_set = load(folder, names), load(folder, ["test_batch"])
    train_loader = DataLoader(train_set, batch_size=batch_size, shuffle=True, drop_last=True)
    return train_loader, DataLoader(test_set, batch_size=100)
