"""Regression with tf.keras, as it was written for TensorFlow 2.9."""

import os
import random

import numpy as np
import pandas as pd
import tensorflow as tf

EPOCHS = int(os.environ.get("EPOCHS", "500"))
BATCH_SIZE = 200
model_dir = "model"
log_dir = "logs"

random.seed(42)
np.random.seed(42)
tf.random.set_seed(42)


def load(name):
    table = pd.read_csv(os.path.join("data", name), header=None).to_numpy()
    return table[:, 1:], table[:, :1]


def build_model():
    model = tf.keras.Sequential()
    for _ in range(4):
        model.add(tf.keras.layers.Dense(100, activation=tf.nn.leaky_relu))
    model.add(tf.keras.layers.Dense(1))
    return model


x_train, y_train = load("training_data.csv")
x_valid, y_valid = load("validation_data.csv")
x_test, y_test = load("test_data.csv")

model = build_model()
model.compile(loss="mse", optimizer=tf.keras.optimizers.Adam(learning_rate=0.001, epsilon=1e-7))
model.fit(
    x_train,
    y_train,
    validation_data=(x_valid, y_valid),
    batch_size=BATCH_SIZE,
    epochs=EPOCHS,
    verbose=2,
    callbacks=[tf.keras.callbacks.TensorBoard(log_dir=log_dir)],
)
print("test mse:", model.evaluate(x_test, y_test, verbose=0))
model.save(model_dir)
