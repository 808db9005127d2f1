"""The comparison of samplers: its table and its measures, on a sampler that fills in one colour."""

import numpy as np
import pytest

import samplers


class Grey:
    """Fills with the candidate's index, so that the mean of candidates is known."""

    steps = 3

    def fill(self, faces, holes, seeds, bar):
        bar.update(len(faces) * self.steps)
        values = np.array([seed % 1000 for seed in seeds], np.uint8)
        return np.where(holes[..., None], values[:, None, None, None], faces)


def test_l1_of_one_sample_and_of_the_mean(monkeypatch):
    monkeypatch.setattr(samplers, "descriptors", lambda faces: np.random.default_rng(0).normal(size=(len(faces), 4)))
    faces = np.full((3, 16, 16, 3), 10, np.uint8)
    faces[:, ::2] = 12
    found = samplers.measured(Grey(), faces, samplers.descriptors(faces), candidates=3)
    assert found["l1"] == pytest.approx(11) and found["l1_mean"] == pytest.approx(10)  # of 0, and of (0 + 1 + 2) / 3
    assert found["frechet"] == pytest.approx(0, abs=1e-6) and found["sharpness"] == 0


def test_the_table_has_a_line_for_each_sampler_and_a_column_for_each_number_of_steps():
    measures = {"frechet": 0.1, "sharpness": 0.9, "l1": 20.0}
    rows = [{"sampler": "ddpm", "spacing": "trailing", "steps": s, **measures} for s in (8, 4)]
    rows.append({"sampler": "ddim", "spacing": "log_snr", "steps": 4, **measures, "l1_mean": 18.0})
    assert samplers.table(rows).splitlines() == [
        "| sampler, spacing | 4 steps | 8 steps |",
        "| --- | --- | --- |",
        "| ddpm, trailing | 0.100 · 0.90 · 20.0 | 0.100 · 0.90 · 20.0 |",
        "| ddim, log_snr | 0.100 · 0.90 · 20.0 · 18.0 |  |",
    ]
