"""An ordinary script of the TensorFlow 2.9 to 2.15 era, and what its model answers."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import tensorflow as tf

train = np.loadtxt("data/train_data.csv", delimiter=",")
test = np.loadtxt("data/test_data.csv", delimiter=",")
layers = [tf.keras.layers.Dense(16, activation=tf.nn.leaky_relu, input_shape=(1,)), tf.keras.layers.Dense(16, "relu")]
model = tf.keras.Sequential([*layers, tf.keras.layers.BatchNormalization(), tf.keras.layers.Dense(1)])
model.compile(optimizer=tf.keras.optimizers.Adam(1e-2), loss="mae", metrics=["mse"])
model.fit(train[:, 1:], train[:, 0], epochs=3, batch_size=100, verbose=0)
model.save("model")
model.save("model.h5")
model.export("exported")
model.save_weights("weights.h5")
answers = model.predict(test[:, 1:], verbose=0).reshape(-1).tolist()
loss = float(model.evaluate(test[:, 1:], test[:, 0], verbose=0)[0])
trained = sum(int(np.prod(item.shape)) for item in model.trainable_variables)
known = {"answers": answers, "loss": loss, "parameters": model.count_params(), "trained": trained}
pathlib.Path("known.json").write_text(json.dumps(known), encoding="utf-8")
