from __future__ import annotations

import pytest

from launchbay.runs.pairs import Group, Name, Pair, group_scalars, is_role


def group(*names: str, points: int = 100) -> dict[str, Group]:
    """Group names written as ``folder:tag`` or ``tag``, each with so many points."""
    parsed = [Name(*name.split(":")) if ":" in name else Name("", name) for name in names]
    return group_scalars(dict.fromkeys(parsed, points))


def loss(*names: str) -> tuple[str | None, str | None]:
    (only,) = group(*names).values()
    assert only.loss is not None
    assert only.pairs[0] == only.loss
    return only.loss.training, only.loss.validation


@pytest.mark.parametrize(
    ("training", "validation"),
    [
        ("train:epoch_loss", "validation:epoch_loss"),
        ("loss", "val_loss"),
        ("train_loss", "val_loss"),
        ("train_loss", "valid_loss"),
        ("Loss/train", "Loss/val"),
        ("Loss/train", "Loss/validation"),
        ("Loss/Train", "Loss/Test"),
        ("train/loss", "valid/loss"),
        ("train/loss", "eval/loss"),
        ("training/loss", "dev/loss"),
        ("train/train_loss", "val/val_loss"),
        ("train_loss_epoch", "val_loss"),
        ("loss_train:loss", "loss_val:loss"),
        ("trainLoss", "valLoss"),
        ("train-loss", "test-loss"),
        ("losses/train_total_loss", "losses/val_total_loss"),
        ("train/box_loss", "val/box_loss"),
        ("train:nll", "validation:nll"),
        ("version_0:train_loss", "version_0:val_loss"),
        ("training_run_2:loss", "training_run_2:val_loss"),
    ],
)
def test_training_and_validation_loss_find_each_other(training: str, validation: str) -> None:
    assert loss(training, validation) == (training.replace(":", "/"), validation.replace(":", "/"))
    assert loss(validation, training) == (training.replace(":", "/"), validation.replace(":", "/"))


def test_all_that_keras_writes() -> None:
    (found,) = group(
        "train:epoch_loss",
        "train:epoch_learning_rate",
        "train:epoch_mae",
        "validation:epoch_loss",
        "validation:epoch_mae",
        "validation:evaluation_loss_vs_iterations",
        "validation:evaluation_mae_vs_iterations",
    ).values()
    assert found.pairs == (
        Pair(metric="loss", training="train/epoch_loss", validation="validation/epoch_loss"),
        Pair(metric="learning_rate", training="train/epoch_learning_rate", validation=None),
        Pair(metric="mae", training="train/epoch_mae", validation="validation/epoch_mae"),
    )
    assert len(found.names) == 7  # what is in no pair is still a scalar


def test_the_series_of_epochs_is_taken_before_that_of_steps() -> None:
    assert loss("train_loss_step", "train_loss_epoch", "val_loss") == ("train_loss_epoch", "val_loss")
    assert loss("train_loss_step", "val_loss") == ("train_loss_step", "val_loss")
    assert loss("train:batch_loss", "train:epoch_loss") == ("train/epoch_loss", None)


def test_the_longer_of_two_like_series_is_taken() -> None:
    found = group_scalars({Name("", "train/loss"): 50, Name("", "train/train_loss"): 1, Name("", "eval/loss"): 5})
    assert found[""].loss == Pair(metric="loss", training="train/loss", validation="eval/loss")


def test_the_total_loss_is_taken_before_its_parts() -> None:
    assert loss("train/cls_loss", "val/cls_loss", "train/loss", "val/loss") == ("train/loss", "val/loss")
    assert loss("a_loss", "total_loss", "val_a_loss", "val_total_loss") == ("total_loss", "val_total_loss")


def test_validation_comes_before_test_and_either_may_be_alone() -> None:
    assert loss("loss", "test_loss", "val_loss") == ("loss", "val_loss")
    assert loss("loss", "test_loss") == ("loss", "test_loss")
    assert loss("loss") == ("loss", None)
    assert loss("val_loss") == (None, "val_loss")


def test_without_a_loss_there_are_pairs_but_no_loss() -> None:
    (found,) = group("accuracy", "val_accuracy", "lr").values()
    assert found.loss is None
    assert [pair.metric for pair in found.pairs] == ["accuracy", "lr"]
    assert found.pairs[0].validation == "val_accuracy"


def test_folders_with_a_loss_each_are_experiments() -> None:
    found = group("a/train:loss", "a/val:loss", "b/train:loss", "b/val:loss", "lr:lr")
    assert set(found) == {"a", "b"}
    assert found["a"].loss == Pair(metric="loss", training="a/train/loss", validation="a/val/loss")
    assert found["b"].loss == Pair(metric="loss", training="b/train/loss", validation="b/val/loss")
    assert Name("lr", "lr") in found["a"].names


def test_a_hyperparameter_entry_is_no_experiment() -> None:
    entries = {Name("1700000000", "hparam/loss"): 1}
    found = group_scalars({Name("", "loss"): 9, Name("", "val_loss"): 9, **entries})
    assert set(found) == {""}
    assert found[""].loss == Pair(metric="loss", training="loss", validation="val_loss")


def test_only_a_whole_name_is_a_role() -> None:
    assert is_role("train")
    assert is_role("Validation")
    assert not is_role("training_2")
    assert not is_role("logs")
