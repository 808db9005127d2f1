import pytest

import terms


@pytest.mark.parametrize("name", ["celeba", "CelebA-HQ"])
def test_a_folder_called_celeba_has_its_terms(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / "data").symlink_to(tmp_path / name)
    assert terms.dataset(tmp_path / "data") == terms.CELEBA
    assert "non-commercial" in terms.licence(terms.CELEBA, None)


def test_other_pictures_have_terms_of_their_own_or_unknown_ones(tmp_path):
    assert terms.dataset(tmp_path / "cats") == {"name": "cats", "terms": "Unknown."}
    cats = terms.dataset(tmp_path / "cats", "CC BY 4.0")
    assert terms.licence(cats, None) == "Weights: after the terms of cats (CC BY 4.0). Code: Apache-2.0."
    assert terms.licence(cats, "toy@5") == "Weights: after the terms of cats (CC BY 4.0), and of toy@5. Code: Apache-2.0."


def test_the_terms_name_every_source_and_the_version_that_training_began_with():
    card = {
        "data": {"name": "cats", "terms": "CC BY 4.0.", "photographs": [{"name": "walls", "licence": "CC0", "pictures": 3}]},
        "training": {"init": "celeba-inpaint-64@5"},
        "resolution": 32,
    }
    text = terms.section(card)
    assert "is cats. Terms: CC BY 4.0. The photographs are 3 of walls (CC0)." in text
    assert "weights of celeba-inpaint-64@5, whose terms apply too" in text
    assert "at 32 px" in terms.limitations(card) and "CelebA" not in terms.limitations(card)
    celeba = {**card, "data": {**card["data"], **terms.CELEBA}}
    assert "CelebA" in terms.limitations(celeba) and "3 of walls (CC0); they are not in this repository either" in terms.section(celeba)


def test_terms_that_are_given_hold_whatever_the_folder_is_called(tmp_path):
    assert terms.dataset(tmp_path / "like-celeba", "CC0") == {"name": "like-celeba", "terms": "CC0."}


def test_celeba_is_the_default_for_its_models_alone(tmp_path):
    ours, other = ({"id": "toy", "version": "1", "data": {"name": name}} for name in (terms.CELEBA["name"], "flowers"))
    assert terms.pictures_of(ours, None).parts[-2:] == ("data", "celeba")
    assert terms.pictures_of(ours, tmp_path) == terms.pictures_of(other, tmp_path) == tmp_path
    with pytest.raises(SystemExit, match="toy@1 was trained on flowers"):
        terms.pictures_of(other, None)
