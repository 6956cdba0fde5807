"""Regression with MXNet's Gluon."""

import argparse

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn
from tensorboardX import SummaryWriter

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=500)
args = parser.parse_args()

mx.random.seed(42)
np.random.seed(42)


def load(name):
    table = np.loadtxt(f"data/{name}", delimiter=",", dtype="float32")
    return gluon.data.ArrayDataset(table[:, 1:], table[:, :1])


train = gluon.data.DataLoader(load("training_data.csv"), batch_size=200, shuffle=True)
valid = gluon.data.DataLoader(load("validation_data.csv"), batch_size=200)
test = gluon.data.DataLoader(load("test_data.csv"), batch_size=200)

net = nn.HybridSequential()
for _ in range(4):
    net.add(nn.Dense(100), nn.LeakyReLU(0.2))
net.add(nn.Dense(1))
net.initialize(init.Xavier())
net.hybridize()

trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.001, "epsilon": 1e-7})
l2_loss = gluon.loss.L2Loss()  # half the squared error


def mse(loader):
    errors = [((net(x) - y) ** 2).asnumpy() for x, y in loader]
    return float(np.concatenate(errors).mean())


with SummaryWriter("logs") as writer:
    for epoch in range(args.epochs):
        total = 0.0
        for x, y in train:
            with autograd.record():
                loss = l2_loss(net(x), y)
            loss.backward()
            trainer.step(x.shape[0])
            total += float(nd.sum(loss).asscalar()) * 2
        writer.add_scalar("loss/train", total / 640, epoch)
        writer.add_scalar("loss/val", mse(valid), epoch)
        if epoch % 50 == 49:
            print("epoch", epoch + 1, "loss", total / 640, "val_loss", mse(valid))

print("test mse:", mse(test))
net.export("model", epoch=0)
