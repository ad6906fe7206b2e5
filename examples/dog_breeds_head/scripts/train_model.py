"""The training that counts: as in hpo.py, watched by the debugger."""

import os

import smdebug.pytorch as smd
import torch
from hpo import arguments, create_data_loaders, net, test, train
from smdebug.core.modes import ModeKeys
from torch import nn, optim


def main(args):
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader, valid_loader, test_loader = create_data_loaders(
        args.data_dir, args.image_size, args.batch_size
    )
    model = net().to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.classifier.parameters(), lr=args.lr)

    hook = smd.get_hook(create_if_not_exists=True)
    hook.register_module(model)
    hook.register_loss(criterion)
    for _ in range(args.epochs):
        hook.set_mode(ModeKeys.TRAIN)
        train(model, train_loader, criterion, optimizer, device)
        hook.set_mode(ModeKeys.EVAL)
        test(model, valid_loader, criterion, device, "Validation")
    hook.set_mode(ModeKeys.PREDICT)
    test(model, test_loader, criterion, device, "Test")
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))


if __name__ == "__main__":
    main(arguments())
