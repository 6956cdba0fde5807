"""Regression with PyTorch: a module, a loader, a loop."""

import argparse
import csv

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter


class Points(Dataset):
    def __init__(self, path):
        with open(path) as file:
            rows = [[float(value) for value in row] for row in csv.reader(file)]
        table = torch.tensor(rows)
        self.x, self.y = table[:, 1:], table[:, :1]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


class Net(nn.Module):
    def __init__(self, width=100):
        super().__init__()
        layers = [nn.Linear(1, width), nn.LeakyReLU(0.2)]
        for _ in range(3):
            layers += [nn.Linear(width, width), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, x):
        return self.layers(x)


def mean_loss(model, loader, loss_of):
    model.eval()
    with torch.no_grad():
        total = sum(loss_of(model(x), y).item() * len(x) for x, y in loader)
    return total / len(loader.dataset)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--lr", type=float, default=1e-3)
    args = parser.parse_args()

    torch.manual_seed(42)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train = DataLoader(Points("data/training_data.csv"), batch_size=200, shuffle=True)
    valid = DataLoader(Points("data/validation_data.csv"), batch_size=200)
    test = DataLoader(Points("data/test_data.csv"), batch_size=200)

    model = Net().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    loss_of = nn.MSELoss()
    writer = SummaryWriter("runs")
    for epoch in range(args.epochs):
        model.train()
        total = 0.0
        for x, y in train:
            x, y = x.to(device), y.to(device)
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        train_loss = total / len(train.dataset)
        valid_loss = mean_loss(model, valid, loss_of)
        writer.add_scalar("loss/train", train_loss, epoch)
        writer.add_scalar("loss/val", valid_loss, epoch)
        if epoch % 50 == 49:
            print(f"epoch {epoch + 1}: loss {train_loss:.4f}, val_loss {valid_loss:.4f}")
    writer.close()

    print("test mse:", mean_loss(model, test, loss_of))
    torch.save(model.state_dict(), "weights.pt")
    model.eval()
    torch.jit.script(model.cpu()).save("model.pt")


if __name__ == "__main__":
    main()
