"""A ResNet-50 of which the last layers learn, with a head for ten classes."""

from torch import nn
from torchvision import models


def net(trainable_layers, dropout=0.3, pretrained=True):
    """Of the four stages, `trainable_layers` learn, counted from the end; the head always does."""
    model = models.resnet50(pretrained=pretrained)
    for parameter in model.parameters():
        parameter.requires_grad = False
    stages = [model.layer1, model.layer2, model.layer3, model.layer4]
    for stage in stages[len(stages) - trainable_layers :]:
        for parameter in stage.parameters():
            parameter.requires_grad = True
    model.fc = nn.Sequential(
        nn.Linear(model.fc.in_features, 256),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(256, 10),
    )
    return model
