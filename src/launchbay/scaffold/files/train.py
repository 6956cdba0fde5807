"""Fit a small regression network with Keras 3, on whichever backend the image has (TensorFlow, JAX, PyTorch).

Reads data/train*.csv, data/val*.csv and data/test*.csv: the target first, then the inputs. Writes the learning
curves to logs/, and the best model by validation loss to model.keras. If it is killed and started again, it goes on
from its last checkpoint, and ends with the same weights, bit for bit, as if nothing had happened.
"""

import argparse
import hashlib
import io
import os
import sys
import time
from pathlib import Path

import keras
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

# `bay train` offers a folder that outlives the attempt; started by hand, the script takes one of its own.
CHECKPOINTS = Path(os.environ.get("LAUNCHBAY_CHECKPOINT_DIR", "checkpoints"))


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


def make_repeatable(seed):
    """Let a seed mean the same weights each time, bit for bit, on one and the same machine."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()
    if keras.backend.backend() == "torch":
        import torch

        torch.use_deterministic_algorithms(True)


class Batches(keras.utils.PyDataset):
    """Shuffled training data. The order follows from seed and epoch alone, so it is the same after a resumption."""

    def __init__(self, x, y, size, seed):
        super().__init__()
        self.x, self.y, self.size, self.seed = x, y, size, seed
        self.shuffle(0)

    def shuffle(self, epoch):
        self.order = np.random.default_rng([self.seed, epoch]).permutation(len(self.x))

    def __len__(self):
        return -(-len(self.x) // self.size)

    def __getitem__(self, index):
        rows = self.order[index * self.size : (index + 1) * self.size]
        return self.x[rows], self.y[rows]


def write(path, data):
    """Write a file so that, whenever this is killed or the power fails, no part of it stands under its name."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)  # the new name is on the disk, too
    os.close(folder)


def manifest(path, data):
    """Return what vouches for a checkpoint, in the form of `sha256sum`."""
    return f"{hashlib.sha256(data).hexdigest()}  {path.name}\n".encode()


def save_checkpoint(epoch, state):
    """Keep the state after so many epochs, and the checkpoint before it; older ones go."""
    buffer = io.BytesIO()
    np.savez(buffer, **state)
    path = CHECKPOINTS / f"epoch-{epoch:06d}.npz"
    write(path, buffer.getvalue())
    write(path.with_suffix(".sha256"), manifest(path, buffer.getvalue()))
    for old in sorted(CHECKPOINTS.glob("epoch-*.npz"))[:-2]:
        remove(old)


def load_checkpoint():
    """Return the newest state whose manifest is true, or None; one that was torn or altered is never used."""
    for path in sorted(CHECKPOINTS.glob("epoch-*.npz"), reverse=True):
        data, seal = path.read_bytes(), path.with_suffix(".sha256")
        if seal.exists() and seal.read_bytes() == manifest(path, data):
            print(f"going on from {path}", flush=True)
            return dict(np.load(io.BytesIO(data)))
        print(f"{path} is not whole, so it is not used", flush=True)
    return None


def remove(path):
    """Remove a checkpoint, what vouches for it first."""
    path.with_suffix(".sha256").unlink(missing_ok=True)
    path.unlink(missing_ok=True)


class Progress(keras.callbacks.Callback):
    """Log every epoch for TensorBoard and keep the best weights; now and then save a checkpoint and say how far it is.

    It writes with TensorBoard's own writer, because keras.callbacks.TensorBoard needs TensorFlow. The best weights
    are kept in memory, which costs next to nothing; a file at every improvement would cost more than the training.
    """

    def __init__(self, model, batches, every, settings):
        super().__init__()
        self.batches, self.every, self.settings = batches, every, settings
        self.done, self.best, self.best_epoch, self.best_weights = 0, np.inf, 0, model.get_weights()
        self.variables = [*model.variables, *model.optimizer.variables]  # weights, seeds; steps, learning rate, moments
        CHECKPOINTS.mkdir(parents=True, exist_ok=True)
        if saved := load_checkpoint():
            self.restore(saved)

    def state(self):
        """Return all that the rest of the training follows from."""
        numbers = {"done": self.done, "best": self.best, "best_epoch": self.best_epoch, "settings": self.settings}
        variables = {f"variable{i}": keras.ops.convert_to_numpy(item) for i, item in enumerate(self.variables)}
        return numbers | variables | {f"best{i}": item for i, item in enumerate(self.best_weights)}

    def restore(self, saved):
        """Take everything back that `state` returned."""
        if saved["settings"] != self.settings:
            sys.exit(f"{CHECKPOINTS} is of another training ({saved['settings']}): remove it to start anew")
        self.done, self.best, self.best_epoch = int(saved["done"]), float(saved["best"]), int(saved["best_epoch"])
        self.best_weights = [saved[f"best{i}"] for i in range(len(self.best_weights))]
        for i, item in enumerate(self.variables):
            item.assign(saved[f"variable{i}"])

    def on_train_begin(self, logs=None):
        self.writer = EventFileWriter("logs", flush_secs=2)
        if self.done:  # what was logged after the checkpoint is void: those epochs come again
            self.writer.add_event(Event(step=self.done, session_log=SessionLog(status=SessionLog.START)))

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.shuffle(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.done = epoch + 1
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in logs.items()]
        self.writer.add_event(Event(step=epoch, wall_time=time.time(), summary=Summary(value=scalars)))
        if logs["val_loss"] < self.best:
            self.best, self.best_epoch, self.best_weights = logs["val_loss"], epoch, self.model.get_weights()
        if self.done % self.every == 0:
            self.writer.flush()  # the curves reach as far as the checkpoint does
            save_checkpoint(self.done, self.state())
            losses = "  ".join(f"{tag} {value:.3f}" for tag, value in logs.items())
            print(f"epoch {self.done}/{self.params['epochs']}  {losses}", flush=True)

    def on_train_end(self, logs=None):
        self.writer.close()
        self.model.set_weights(self.best_weights)


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
    parser.add_argument("--checkpoint-every", type=at_least_one, default=50, help="epochs between two checkpoints")
    args = parser.parse_args()

    make_repeatable(args.seed)
    (x, y), validation, test = load("train"), load("val"), load("test")

    model = build(x.shape[1])
    model.compile(optimizer=keras.optimizers.Adam(args.learning_rate), loss="mse")
    model.optimizer.build(model.trainable_variables)
    settings = f"{len(x)} rows in batches of {args.batch_size}, seed {args.seed}, learning rate {args.learning_rate}"
    batches = Batches(x, y, args.batch_size, args.seed)
    progress = Progress(model, batches, args.checkpoint_every, settings)
    model.fit(batches, validation_data=validation, validation_batch_size=args.batch_size, shuffle=False,
              initial_epoch=progress.done, epochs=args.epochs, callbacks=[progress], verbose=0)
    model.save("model.keras")
    print(f"best epoch {progress.best_epoch + 1}  val_loss {progress.best:.3f}")
    print(f"test_mse={model.evaluate(*test, batch_size=args.batch_size, verbose=0):.4f}")
    for path in CHECKPOINTS.glob("epoch-*.npz"):  # it is done: the next time it starts anew
        remove(path)


if __name__ == "__main__":
    main()
