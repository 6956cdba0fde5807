"""Instances and fleets as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from launchbay.api.listing import Row
from launchbay.cli.texts.instances import clock_text, ended_text, launch_text, ps_text, update_text, verification_text
from launchbay.lifecycle.end import Ended
from launchbay.lifecycle.identity import Difference
from launchbay.lifecycle.launch import Launch
from launchbay.lifecycle.personal import Replayed
from launchbay.lifecycle.update import Update
from launchbay.store.spent import Elsewhere, Spent
from tests.cli.texts.values import DIGEST, IMAGE, PROOF, instance

SPENT = Spent(
    id="i-1",
    name="a",
    up_s=3600.0,
    usd_per_hour="1.20",
    elsewhere=Elsewhere(
        type="m5.xlarge", region="us-east-1", usd_per_hour="0.192", as_of="2025-03-02", source="somebody"
    ),
)


def test_where_a_launchs_time_went() -> None:
    clock = {"image": 161.0, "plan": 0.01, "create": 0.2, "verify": None, "first_import": 4.2, "other": 1.0}
    words = "image built 2m 41s, plan 10 ms, create 200 ms, first import 4.2 s (measured when the image was built)"
    assert clock_text(clock) == words
    assert clock_text({"plan": 0.5, "first_import": None}) == "plan 500 ms"


def test_a_launch() -> None:
    launch = Launch(
        fleet="exp",
        image=IMAGE,
        instances=[instance(1), instance(2), instance(3)],
        created=("exp-3",),
        identical=True,
        clock={"plan": 0.001, "first_import": None},
        built_now=False,
    )
    text = launch_text(launch)
    assert text.startswith("1 of 3 launched: exp-3\n")
    assert "(tensorflow 2.21.0, keras 3.15.0, Python 3.13.1)" in text
    assert "3 fingerprints, identical; homes and data are compared by `bay verify exp`\n" in text
    new = launch_text(replace(launch, created=("exp-1", "exp-2", "exp-3")))
    assert "3 fingerprints, identical\n" in new, "nobody was in them yet"
    assert "bay train exp-1 train.py" in text
    again = launch_text(replace(launch, created=(), instances=[instance(1)], image=replace(IMAGE, frameworks={})))
    assert again.startswith("exp stands already: exp-1; nothing to launch.\n")
    assert "(no framework, Python 3.13.1)" in again
    odd = launch_text(replace(launch, identical=False))
    assert "NOT identical; `bay verify exp` says what differs" in odd
    assert "  next    bay train    bay shell exp-1" in launch_text(launch, has_project=True)
    assert "1 fingerprint, " in launch_text(replace(launch, instances=[instance(1)]))


def test_a_list_of_instances_says_which_cost_is_unknown() -> None:
    row = Row(
        name="exp-1",
        fleet="exp",
        state="running",
        image="jax",
        provider="local",
        usd_per_hour=None,
        cost_so_far=None,
        age_s=3725.0,
        id="i-1",
        digest=DIGEST,
        running=(),
    )
    free = replace(row, usd_per_hour="0.00", cost_so_far="0.00", running=("r-1", "r-2"))
    _, unknown, known, _, cost = ps_text([row, free]).splitlines()
    assert unknown.split() == ["exp-1", "exp", "running", "jax", "local", "unknown", "unknown", "1h", "02m", "-"]
    assert known.split() == ["exp-1", "exp", "running", "jax", "local", "0.00", "0.00", "1h", "02m", "r-1", "r-2"]
    assert cost == "cost      unknown an hour, unknown since launch"
    assert ps_text([]).startswith("No instances.")


def test_a_list_of_instances_says_what_the_same_would_cost() -> None:
    there = Elsewhere(type="m5.xlarge", region="us-east-1", usd_per_hour="0.192", as_of="2025-03-02", source="s")
    row = Row(
        name="exp-1",
        fleet="exp",
        state="running",
        image="jax",
        provider="local",
        usd_per_hour="0.00",
        cost_so_far="0.00",
        age_s=3725.0,
        id="i-1",
        digest=DIGEST,
        running=(),
        elsewhere=there,
        elsewhere_so_far="0.20",
        fleet_so_far="0.00",
        fleet_elsewhere_so_far="0.40",
    )
    same = replace(row, name="exp-2")
    assert ps_text([row, same]).splitlines()[-2:] == [
        "cost      $0.00 an hour, $0.00 since launch",
        "on EC2    $0.384 an hour, $0.40 since launch: 2 × m5.xlarge in us-east-1, price of 2025-03-02",
    ]
    larger = replace(there, type="p5.48xlarge", is_stale=True, gpus=8, gpus_here=1)
    assert (
        ps_text([replace(row, elsewhere=larger)])
        .splitlines()[-1]
        .endswith(
            ": 1 × p5.48xlarge (with 8 GPUs in the place of 1) in us-east-1, price of 2025-03-02, known to have changed since"
        )
    )
    other = replace(row, fleet="old", elsewhere=None, elsewhere_so_far=None, fleet_elsewhere_so_far=None)
    last = ps_text([row, other]).splitlines()[-1]
    assert last == (
        "on EC2    unknown an hour, unknown since launch: 1 × m5.xlarge in us-east-1, price of 2025-03-02, "
        "and 1 of which that is not known"
    )


def test_a_list_of_instances_says_when_the_first_and_the_last_of_a_fleet_end() -> None:
    row = Row(
        name="exp-1",
        fleet="exp",
        state="running",
        image="jax",
        provider="ec2",
        usd_per_hour="0.10",
        cost_so_far="0.10",
        age_s=3725.0,
        id="i-1",
        digest=DIGEST,
        running=(),
        type="c5.large",
        market="spot",
        region="us-east-1",
        ends_at=1795791600.0,
    )
    same, other = replace(row, name="exp-2"), replace(row, name="old-1", fleet="old", ends_at=0.0)
    assert ps_text([row, same, other]).splitlines()[-2:] == [
        "lease     exp (c5.large, spot, us-east-1) ends itself by 2026-11-27 15:00 UTC; `bay extend exp 2h`",
        "lease     old (c5.large, spot, us-east-1) ends itself by 1970-01-01 00:00 UTC; `bay extend old 2h`",
    ]
    longer = replace(same, ends_at=1795791600.0 + 2 * 3600)
    for rows in ([row, longer], [longer, row]):
        assert ps_text(rows).splitlines()[-1] == (
            "lease     exp (c5.large, spot, us-east-1) ends itself, the first (exp-1) by 2026-11-27 15:00 UTC, "
            "the last (exp-2) by 2026-11-27 17:00 UTC; `bay extend exp 2h`"
        )


def test_a_proof() -> None:
    text = verification_text("exp", PROOF)
    assert text.startswith("exp: 3 instances, identical")
    assert "fingerprints 120 ms (40 ms an instance), image 0 ms" in text
    assert "gpu" not in text
    assert "content" not in text
    assert "content abc" in verification_text("exp", replace(PROOF, content="abc"))
    assert "the framework can use every GPU" in verification_text("exp", replace(PROOF, gpu_proven=True))


def test_a_proof_that_failed_names_the_odd_one() -> None:
    odd = [Difference(instance="exp-2", kind="package", what="six 1.16.0, others 1.17.0")] * 2
    text = verification_text("exp", replace(PROOF, identical=False, differences=odd))
    assert text.startswith("exp: NOT identical. 1 of 3 instances differs.\n  exp-2: six 1.16.0, others 1.17.0\n")
    text = verification_text("exp", replace(PROOF, identical=False, image_problems=["six.py of six: missing"]))
    assert text.startswith("exp: the image was changed.\n")
    assert "the image below all 3 of them was changed:\n  six.py of six: missing\n" in text


def test_instances_that_do_not_answer_are_no_difference() -> None:
    silent = [Difference(instance=name, kind="machine", what="does not answer: busy") for name in ("exp-4", "exp-5")]
    text = verification_text("exp", replace(PROOF, identical=False, differences=silent))
    assert text.startswith(
        "exp: NOT PROVEN identical. 2 of 5 instances do not answer, or stand no more.\n  exp-4: does not answer: busy\n"
    )
    odd = Difference(instance="exp-2", kind="package", what="six 1.16.0, others 1.17.0")
    text = verification_text("exp", replace(PROOF, identical=False, differences=[*silent, odd]))
    assert text.startswith("exp: NOT identical. 3 of 5 instances differ.\n")


def test_a_gpu_that_nobody_can_use_does_not_set_instances_apart() -> None:
    odd = [Difference(instance="exp-1", kind="gpu", what="the driver shows 1 GPU, jax sees 0")]
    text = verification_text("exp", replace(PROOF, gpu_proven=False, differences=odd))
    assert text.startswith("exp: 3 instances, identical")
    assert "NOT every GPU can be used by the framework\n  exp-1: the driver shows 1 GPU, jax sees 0" in text


@pytest.mark.parametrize(
    ("ended", "text"),
    [
        (Ended(verb="terminate", names=()), "Nothing of it is left: it was terminated before."),
        (Ended(verb="stop", names=("a",)), "a stopped."),
        (Ended(verb="start", names=("a-1", "a-2")), "a-1 to a-2 (2) started."),
        (
            Ended(verb="terminate", names=("a-1", "a-2", "a-3"), processes_ended=4),
            (
                "a-1 to a-3 (3) terminated, 4 processes ended; runs, logs and models stay (`bay runs`)."
                " What still costs: $0.00 a day."
            ),
        ),
        (
            Ended(verb="terminate", names=("a",), spent=[SPENT, replace(SPENT, elsewhere=None)]),
            (
                "a terminated; runs, logs and models stay (`bay runs`). What still costs: $0.00 a day.\n"
                "cost      $2.40 since launch\n"
                "on EC2    unknown for the same: 1 × m5.xlarge in us-east-1, price of 2025-03-02, "
                "and 1 of which that is not known"
            ),
        ),
        (Ended(verb="reboot", names=("a",), usd_per_day="1.20"), "a restarted. What still costs: $1.20 a day."),
    ],
)
def test_an_end(ended: Ended, text: str) -> None:
    assert ended_text(ended) == text


def test_an_update() -> None:
    updated = Update(
        fleet="exp",
        image=replace(IMAGE, name="multi"),
        instances=[instance(number) for number in (1, 2, 3)],
        updated=["exp-1", "exp-2", "exp-3"],
        identical=True,
        replayed=[Replayed(instance="exp-2", packages=["tabulate 0.10.0"], left={"six 1.0": "multi has 1.17.0"})],
        kept=[Path("/home/stray.py")],
        clock={"stage": 0.1, "switch": 0.02, "replay": 2.0, "verify": 0.3, "first_import": None},
        built_now=False,
    )
    assert update_text(updated).splitlines() == [
        "3 of 3 moved: exp-1 to exp-3; homes, working folders and runs stay",
        f"  image   multi {DIGEST[:12]}",
        "  proof   3 fingerprints, identical but for what people had installed",
        "  clock   stage 100 ms, switch 20 ms, replay 2.0 s, verify 300 ms",
        "  exp-2: installed again: tabulate 0.10.0",
        "  exp-2: NOT installed again: six 1.0: multi has 1.17.0",
        "  files that had been put into an environment were copied into the homes:",
        "    /home/stray.py",
    ]
    alone = update_text(replace(updated, replayed=[]))
    assert "3 fingerprints, identical; homes and data are compared by `bay verify exp`\n" in alone
    assert "NOT identical; `bay verify exp`" in update_text(replace(updated, replayed=[], identical=False))
    assert update_text(replace(updated, updated=())).endswith("already: exp-1 to exp-3; nothing to update.")


def test_gpus_of_a_twin_are_called_declared_and_an_image_of_one_is_not_called_that_of_all() -> None:
    assert "declared by the twin on 2 instances, not there" in verification_text(
        "exp", replace(PROOF, declared=["a", "b"])
    )
    prints = [{"instance": "exp-1"}, {"instance": "exp-2"}]
    odd = replace(PROOF, identical=False, fingerprints=prints, image_problems=["exp-2: six.py of six: missing"])
    text = verification_text("exp", odd)
    assert "an image was changed:" in text
    assert "below all" not in text
