import torch

from clary.debugger import Hook, Schedule

model = torch.nn.Linear(4, 2)
criterion = torch.nn.CrossEntropyLoss()
hook = Hook("runs/tensors", schedule=Schedule(interval=1))
hook.watch(model)
for _ in range(6):
    criterion(model(torch.randn(8, 4)), torch.zeros(8, dtype=torch.long)).backward()
hook.close()
