"""An ordinary PyTorch script that saves in every way there is, and what its model answers."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import torch
from torch import nn

torch.manual_seed(1)
train = torch.from_numpy(np.loadtxt("data/train_data.csv", delimiter=",", dtype="float32"))
test = torch.from_numpy(np.loadtxt("data/test_data.csv", delimiter=",", dtype="float32"))
model = nn.Sequential(nn.Linear(1, 128), nn.LeakyReLU(0.2), nn.BatchNorm1d(128), nn.Dropout(0.1), nn.Linear(128, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for start in range(0, len(train), 100):
    batch = train[start : start + 100]
    optimizer.zero_grad()
    nn.functional.mse_loss(model(batch[:, 1:]), batch[:, :1]).backward()
    optimizer.step()
torch.save(model.state_dict(), "best-state.pt")
torch.save(model, "whole.pt")
torch.jit.save(torch.jit.script(model), "script-in-training.pt")
model.eval()
torch.jit.save(torch.jit.trace(model, torch.zeros(2, 1)), "trace.pt")
example, batch_size = (torch.zeros(4, 1),), torch.export.Dim("batch")
torch.export.save(torch.export.export(model, example, dynamic_shapes=({0: batch_size},)), "program.pt2")
torch.export.save(torch.export.export(model, example), "fixed.pt2")
torch.onnx.export(model, example, "graph.onnx", dynamo=True, dynamic_shapes=({0: batch_size},), verbose=False)
torch.onnx.export(model, example, "fixed.onnx", dynamo=True, external_data=False, verbose=False)
answers = model(test[:, 1:]).reshape(-1).tolist()
known = {
    "answers": answers,
    "parameters": sum(item.numel() for item in model.parameters()),
    "statistics": sum(item.numel() for item in model.buffers() if item.is_floating_point()),
}
pathlib.Path("known.json").write_text(json.dumps(known), encoding="utf-8")
