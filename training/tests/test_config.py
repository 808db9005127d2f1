import tomllib

import pytest
from test_training import CONFIG, HERE

import config
from config import load_config
from stages import STAGES


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("warmup", "warm_up", r"\[train\] .*warm_up"),
        ("blocks = 1", "block = 1", r"\[model\] .*unknown: \['block'\]"),
        ("resolution = 16", "", r"\[model\] resolution is missing"),
        ('"cosine"', '"cosin"', r"\[schedule\] type must be one of cosine, linear, not 'cosin'"),
        ("T = 1000", "steps = 1000", r"\[schedule\] .*'steps'"),
        ("zoom_from = 24", "zoom_from = 12", r"\[mix\] zoom_from must be at least 16 for a network of 16 px, not 12"),
        ("[mix]", "[mix", "bad.toml: "),
        ("photos = 0.3", "photos = 15", r"\[mix\] photos must be a number from 0 to 1, not 15"),
        ("photos = 0.3", "photos = 0.8", r"\[mix\] zoom and photos must be 1 together at most, not 0.3 and 0.8"),
        ("photos = 0.3", "photos = true", r"\[mix\] photos must be a number"),
        ("decay = 0.0", "decay = 30", r"\[train\] decay must be a number from 0 to 1, not 30"),
        ("clip = 1.0", "clip = 0", r"\[train\] clip must be a number above 0, not 0"),
        ("adam_lr = 0.0005", "adam_lr = nan", r"\[train\] adam_lr must be a number of at least 0, not nan"),
        ("snr_cap = 5.0", "snr_cap = 0", r"\[loss\] snr_cap must be a number above 0"),
        ("batch = 4", "batch = 0", r"\[train\] batch must be a whole number of at least 1, not 0"),
        ("batch = 4", "batch = 16.0", r"\[train\] batch must be a whole number of at least 1, not 16.0"),
        ("batch = 4", 'batch = "16"', r"\[train\] batch must be a whole number of at least 1, not '16'"),
        ("channels = [32]", "channels = 64", r"\[model\] channels must be a list of one or more whole numbers of at least 1, not 64"),
        ("channels = [32]", "channels = []", r"\[model\] channels must be a list of one or more whole numbers of at least 1, not \[\]"),
        ("channels = [32]", "channels = [32]\nin_channels = 3", r"\[model\] in_channels must be 4 for this stage, not 3"),
        ("channels = [32]", "channels = [40]", "channels must be multiples of groups, which is 16"),
        ("channels = [32]", "channels = [32, 64, 64, 64, 64]", r"\[model\] resolution must be a multiple of 32, for patch 2 and 5 levels, not 16"),
        ("resolution = 16", "resolution = 25", r"\[model\] resolution must be a multiple of 2, for patch 2 and 1 levels, not 25"),
        ("T = 1000", 'T = "x"', r"\[schedule\] T must be a whole number from 2 to 10000, not 'x'"),
        ('type = "cosine"', 'type = ["cosine"]', r"\[schedule\] type must be text, not \['cosine'\]"),
        ('id = "toy"', 'id = "toy"\nstage = [1]', r"stage must be one of .*, not \[1\]"),
        ('data = "unused"', "data = 1", "data must be text, not 1"),
        ("resolution = 16\nchannels = [32]\nblocks = 1\nattention = [8]", "resolution = 512\nchannels = [32]", "photos must be 0 .* crops .* 256 px"),
        ("attention = [8]", "attention = [8, 16]", r"\[model\] attention must name sizes of the levels, \[8\], not \[16\]"),
        ("[loss]", "[losss]", "a config of the stage base has no losss"),
        ("[loss]", "[distil]\n[loss]", "a config of the stage base has no distil"),
        ('id = "toy"', 'id = "toy"\nminutes = 5\nStage = "refiner"', "a config of the stage base has no Stage, minutes"),
        ("T = 1000", "T = 10001", r"\[schedule\] T must be a whole number from 2 to 10000, not 10001"),
        ("T = 1000", "T = 11", r"\[schedule\] T is too small for .* an exported version: steps must be a whole number from 1 to 11, not 12"),
        ("T = 1000", "T = 1000\ns = 1.5", r"\[schedule\] s must be a number from 0 to 1, not 1.5"),
        ('"cosine"', '"linear"\nbeta_start = 0.03', r"\[schedule\] beta_end must be at least beta_start, 0.03, not 0.02"),
        ('"cosine"', '"linear"\nbeta_end = 0.999', r"\[schedule\] abar must remain between 0 and 1"),
    ],
)
def test_a_config_with_a_wrong_key_or_value_is_refused_by_name(tmp_path, right, wrong, message):
    file = tmp_path / "bad.toml"
    file.write_text(CONFIG.format(steps=1).replace(right, wrong))
    with pytest.raises(SystemExit, match=message):
        load_config(file)


@pytest.mark.parametrize("part", ["model", "schedule", "train", "mix"])
def test_a_value_in_place_of_a_section_is_refused_by_name(part):
    settings = {**tomllib.loads(CONFIG.format(steps=1)), part: 3}
    with pytest.raises(ValueError, match=rf"{part} must be a section, \[{part}\], not 3"):
        config.check(settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": [64, 128]}, r"channels must be three numbers for a refiner, not \[64, 128\]"),
        ({"in_channels": 4}, "in_channels must be 8 for this stage, not 4"),
        ({"out_channels": 6}, "out_channels must be 3 for this stage, not 6"),
    ],
)
def test_a_refiner_has_three_widths_and_the_channels_of_its_inputs_and_outputs(changes, message):
    settings = tomllib.loads((HERE / "configs" / "refiner-64.toml").read_text())
    with pytest.raises(ValueError, match=message):
        config.check({**settings, "model": {**settings["model"], **changes}})


def test_a_schedule_has_the_first_timestep_of_an_exported_refiner():
    settings = tomllib.loads((HERE / "configs" / "refiner-64.toml").read_text())
    config.check({**settings, "schedule": {"type": "cosine", "T": 901}})
    with pytest.raises(ValueError, match="the first timestep must be a whole number from 0 to 899, not 900"):
        config.check({**settings, "schedule": {"type": "cosine", "T": 900}})


def test_a_schedule_has_as_many_timesteps_as_its_student_has_steps():
    settings = tomllib.loads((HERE / "configs" / "student-64.toml").read_text())
    settings |= {"schedule": {"type": "cosine", "T": 4}, "distil": {**settings["distil"], "final": 0}}
    config.check(settings)
    with pytest.raises(ValueError, match=r"\[schedule\] T is too small .* from 1 to 3, not 4"):
        config.check({**settings, "schedule": {"type": "cosine", "T": 3}})


@pytest.mark.parametrize("file", [path.name for path in (HERE / "configs").iterdir()])
def test_the_configs_of_this_repository_are_accepted(file):
    assert load_config(HERE / "configs" / file)["stage"] in STAGES


def test_a_teacher_does_not_end_at_a_noisier_timestep_than_its_student():
    settings = tomllib.loads((HERE / "configs" / "student-64.toml").read_text())
    settings["distil"]["final"] = 249
    config.check(settings)
    settings["distil"]["final"] = 250
    with pytest.raises(ValueError, match=r"\[distil\] final must be at most 249, the last timestep of 4 steps, not 250"):
        config.check(settings)


def test_variances_need_six_channels_and_their_loss(tmp_path):
    (tmp_path / "bad.toml").write_text(CONFIG.format(steps=1).replace("resolution = 16", "resolution = 16\nout_channels = 6"))
    with pytest.raises(SystemExit, match="out_channels"):
        load_config(tmp_path / "bad.toml")


def test_an_id_that_the_service_would_refuse_is_refused_before_the_training(tmp_path):
    file = tmp_path / "bad.toml"
    file.write_text(CONFIG.format(steps=1).replace('"toy"', '"My Faces"'))
    with pytest.raises(SystemExit, match="id must have lower-case letters.* it is 'My Faces'"):
        load_config(file)
