"""Fit a small regression network with Keras 3, on whichever backend the image has (TensorFlow, JAX, PyTorch).

Reads data/train*.csv, data/val*.csv and data/test*.csv: the target first, then the inputs. Writes the learning
curves to logs/, a model every 50 epochs to checkpoints/, and the best by validation loss to model.keras.
"""

import argparse
import sys
import time
from pathlib import Path

import keras
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

EVERY = 50  # epochs between two checkpoints


def load(split):
    """Return inputs and targets of the one data/SPLIT*.csv; a first line of names is skipped."""
    found = sorted(Path("data").glob(f"{split}*.csv"))
    if len(found) != 1:
        sys.exit(f"expected exactly one data/{split}*.csv, found {len(found)}")
    text = found[0].read_text(encoding="utf-8-sig").splitlines()
    has_names = text[0].lstrip('"')[:1].isalpha()
    table = np.loadtxt(text[has_names:], dtype="float32", delimiter=",", quotechar='"', ndmin=2)
    return table[:, 1:], table[:, 0]


def build(inputs):
    """Return the network: four hidden layers of 100 with leaky ReLU, one linear output."""
    hidden = [keras.layers.Dense(100, activation="leaky_relu") for _ in range(4)]  # slope 0.2, Keras' default
    return keras.Sequential([keras.Input((inputs,)), *hidden, keras.layers.Dense(1)])


class Progress(keras.callbacks.Callback):
    """Log every epoch for TensorBoard; now and then save a checkpoint and say how far it is.

    It writes with TensorBoard's own writer, because keras.callbacks.TensorBoard needs TensorFlow.
    """

    def on_train_begin(self, logs=None):
        self.writer = EventFileWriter("logs", flush_secs=2)
        Path("checkpoints").mkdir(exist_ok=True)

    def on_epoch_end(self, epoch, logs=None):
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in logs.items()]
        self.writer.add_event(Event(step=epoch, wall_time=time.time(), summary=Summary(value=scalars)))
        if (epoch + 1) % EVERY == 0:
            self.model.save(f"checkpoints/epoch-{epoch + 1:04d}.keras")
            losses = "  ".join(f"{tag} {value:.3f}" for tag, value in logs.items())
            print(f"epoch {epoch + 1}/{self.params['epochs']}  {losses}", flush=True)

    def on_train_end(self, logs=None):
        self.writer.close()


def at_least_one(text):
    """Read a count from the command line."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got {text}")
    return int(text)


def main():
    """Train, keep the best weights, and print the error on the test data."""
    parser = argparse.ArgumentParser(description="Fit a small regression network.")
    parser.add_argument("--epochs", type=at_least_one, default=500)
    parser.add_argument("--batch-size", type=at_least_one, default=200)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    args = parser.parse_args()

    keras.utils.set_random_seed(args.seed)
    (x, y), validation, test = load("train"), load("val"), load("test")

    model = build(x.shape[1])
    model.compile(optimizer=keras.optimizers.Adam(args.learning_rate), loss="mse")
    # With this much patience it never stops early; it keeps the best weights in memory, which costs next to
    # nothing, where saving a file at every improvement would cost more than the training.
    best = keras.callbacks.EarlyStopping(patience=args.epochs, restore_best_weights=True)
    model.fit(x, y, validation_data=validation, epochs=args.epochs, batch_size=args.batch_size,
              callbacks=[Progress(), best], verbose=0)
    model.save("model.keras")
    print(f"best epoch {best.best_epoch + 1}  val_loss {best.best:.3f}")
    print(f"test_mse={model.evaluate(*test, batch_size=args.batch_size, verbose=0):.4f}")


if __name__ == "__main__":
    main()
