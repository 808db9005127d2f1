import copy
import json

import pytest

import gate

METRICS = {
    "how": {"faces": 606, "sampler": "ddim", "steps": 12, "eta": 0, "spacing": "log_snr", "final_timestep": 8, "candidates": 8, "candidate_steps": 4},
    "box": {
        "telea": {"l1": 32.66, "psnr": 15.53, "frechet": 0.14},
        "sample": {"l1": 25.0, "psnr": 17.7, "frechet": 0.035, "sharpness": 0.95},
        "mean_of_8": {"l1": 20.0, "psnr": 20.0},
    },
    "thin": {
        "telea": {"l1": 15.0, "psnr": 21.3, "frechet": 0.004},
        "sample": {"l1": 12.0, "psnr": 22.9, "frechet": 0.001, "sharpness": 0.9},
        "mean_of_8": {"l1": 11.0, "psnr": 23.9},
    },
}


def card(version="1", **changes) -> dict:
    """A model card with METRICS, changed by arguments of the form family__result__metric=value."""
    metrics = copy.deepcopy(METRICS)
    for path, value in changes.items():
        family, way, measure = path.split("__")
        metrics[family][way][measure] = value
    return {"id": "toy", "version": version, "metrics": metrics}


@pytest.mark.parametrize(
    ("changes", "worse"),
    [
        ({}, []),
        ({"box__mean_of_8__l1": 20.3, "box__mean_of_8__psnr": 19.85, "box__sample__frechet": 0.038}, []),  # within tolerance
        ({"box__mean_of_8__l1": 10.0, "box__sample__frechet": 0.001}, []),  # better
        ({"box__mean_of_8__l1": 20.5}, [("box", "mean_of_8", "l1")]),
        ({"box__sample__l1": 40.0, "box__sample__psnr": 10.0}, []),  # best for a blur, so not compared
        ({"box__sample__sharpness": 0.85, "thin__sample__sharpness": 1.1}, []),
        ({"box__sample__sharpness": 0.84}, [("box", "sample", "sharpness")]),
        ({"thin__sample__sharpness": 1.11}, [("thin", "sample", "sharpness")]),
        ({"thin__sample__sharpness": float("nan")}, [("thin", "sample", "sharpness")]),
        ({"box__mean_of_8__psnr": 19.7}, [("box", "mean_of_8", "psnr")]),
        ({"thin__sample__frechet": 0.0012}, [("thin", "sample", "frechet")]),
        ({"thin__sample__frechet": float("nan")}, [("thin", "sample", "frechet")]),
    ],
)
def test_the_gate_refuses_a_version_that_is_worse_by_more_than_the_tolerance(changes, worse):
    rows = gate.compare(card(), card("2", **changes))
    assert len(rows) == 8
    assert [(r["masks"], r["of"], r["measure"]) for r in rows if not r["holds"]] == worse


def test_the_gate_refuses_cards_that_cannot_be_compared():
    unlike = card("2")
    unlike["metrics"]["how"] = {**METRICS["how"], "faces": 48}
    with pytest.raises(ValueError, match="faces is 606 for toy@1 but 48 for toy@2: evaluate both with the same settings"):
        gate.compare(card(), unlike)
    computed = {name: card(name) for name in ("1", "2")}
    for name, device in (("1", "cpu"), ("2", "cuda")):
        computed[name]["metrics"]["how"] = {**METRICS["how"], "device": device}
    with pytest.raises(ValueError, match="device is cpu for toy@1 but cuda for toy@2: evaluate both with the same settings"):
        gate.compare(computed["1"], computed["2"])
    assert gate.compare(card(), computed["2"])  # an older card does not say
    with pytest.raises(ValueError, match="test pictures"):
        gate.compare(card(), card("2", box__telea__l1=30.0))
    with pytest.raises(ValueError, match="toy@2 has no metrics"):
        gate.compare(card(), {**card("2"), "metrics": {}})
    blunt = card("2")
    del blunt["metrics"]["box"]["sample"]["sharpness"]
    with pytest.raises(ValueError, match="toy@2 has no sharpness of sample for box masks: evaluate it again"):
        gate.compare(card(), blunt)
    missing = card("2")
    del missing["metrics"]["thin"]
    with pytest.raises(ValueError, match="no metrics for thin masks"):
        gate.compare(card(), missing)


def test_the_steps_of_a_mean_matter_only_where_there_is_one():
    def measured(version: str, **how) -> dict:
        made = card(version)
        made["metrics"]["how"] = {**METRICS["how"], **how}
        return made

    gate.compare(measured("1", candidates=1), measured("2", candidates=1, candidate_steps=12))
    with pytest.raises(ValueError, match="candidate_steps is 4 for toy@1 but 12 for toy@2"):
        gate.compare(measured("1"), measured("2", candidate_steps=12))


def test_the_gate_accepts_a_version_after_one_whose_sharpness_was_not_measured():
    old = card()
    del old["metrics"]["box"]["sample"]["sharpness"]
    del old["metrics"]["thin"]["mean_of_8"]
    rows = gate.compare(old, card("2"))
    assert all(row["holds"] for row in rows)
    assert [(row["now"], row["new"]) for row in rows if row["measure"] == "sharpness"] == [(None, 0.95), (0.9, 0.9)]
    assert "None" not in gate.table(rows, old, card("2"))
    flat = card("2", thin__sample__sharpness=None)  # no hole was wider than its rim
    assert len(gate.compare(old, flat)) == len(rows) - 1


def test_the_gate_compares_cards_of_which_only_the_newer_has_extrapolated_distances():
    newer = card("2", box__telea__frechet_extrapolated=0.1359, box__sample__frechet_extrapolated=0.013)
    expected = gate.compare(card(), card("2"))
    assert gate.compare(card(), newer) == expected
    assert gate.compare(newer, newer) == expected


def test_the_gate_refuses_a_version_that_lacks_the_refiner():
    plain, refined = card("2"), {**card(), "refiner": {"metrics": {}}}
    with pytest.raises(ValueError, match="toy@2 has no refiner, but toy@1 has one: export it with --refiner"):
        gate.compare(refined, plain)
    assert gate.compare(plain, {**card("3"), "refiner": {"metrics": {}}}) == gate.compare(plain, card("3"))


@pytest.mark.parametrize(
    ("serving", "version"),
    [(None, "10"), ("toy@2", "2"), ("toy@2:90,@10:10", "2"), ("other@1", "10"), ("toy@7", "10"), ("toy", "10")],
)
@pytest.mark.parametrize("file", ["serving.json", "elsewhere/promoted.json"])
def test_the_gate_compares_with_the_version_in_service(tmp_path, monkeypatch, file, serving, version):
    monkeypatch.setenv("SERVING_FILE", "" if file == "serving.json" else str(tmp_path / file))
    (tmp_path / "elsewhere").mkdir()
    for v in ("2", "10", "9"):
        (tmp_path / "toy" / v).mkdir(parents=True)
    if serving:
        (tmp_path / file).write_text(json.dumps({"default": serving}))
    assert gate.current(tmp_path, card("11")) == tmp_path / "toy" / version
    assert gate.current(tmp_path, {**card(), "id": "new"}) is None
