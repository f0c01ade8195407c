from pathlib import Path

import pytest
import yaml

from epslab.cli.configuration import Configuration, load_configuration
from epslab.errors import UserError

RUN = {"recipe": "vae", "latent_dim": 2, "out": "runs/a", "resume": True, "overwrite": True}


@pytest.fixture
def folder():
    Path("a").mkdir()
    Path("a/config.yaml").write_text(yaml.safe_dump({**RUN, "provenance": {"versions": {}}}))
    return Path("a")


@pytest.mark.parametrize("given", ["a", "a/config.yaml"])
def test_a_run_is_its_folder_or_its_file_without_where_it_lay(folder, given):
    assert load_configuration(given).settings == {"recipe": "vae", "latent_dim": 2}


def test_a_file_of_the_users_own_keeps_its_out():
    Path("mine.yaml").write_text("recipe: vae\nlatent-dim: 2\nout: runs/mine\n")
    assert load_configuration("mine.yaml").settings == {"recipe": "vae", "latent_dim": 2, "out": "runs/mine"}


def test_a_resumed_run_brings_its_own_settings_unless_others_are_given(folder):
    assert load_configuration(None, resumed=folder).settings == {"recipe": "vae", "latent_dim": 2}
    Path("mine.yaml").write_text("recipe: vae")
    assert load_configuration("mine.yaml", resumed=folder).settings == {"recipe": "vae"}
    assert load_configuration(None, resumed=Path("nowhere")) == Configuration()


@pytest.mark.parametrize("content", [None, "a: [", "- 1\n- 2", "3: 4", b"\xff\xfe\x00"])
def test_what_is_no_configuration_is_said(content):
    if content is not None:
        Path("bad.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"bad\.yaml"):
        load_configuration("bad.yaml")
