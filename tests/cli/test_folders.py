from pathlib import Path

from epslab.cli.folders import automatic


def make(*names):
    for name in names:
        (Path("runs") / name).mkdir(parents=True)


def test_numbered_where_it_exists():
    assert automatic("vae-digits") == Path("runs/vae-digits")
    make("vae-digits")
    assert automatic("vae-digits") == Path("runs/vae-digits-2")
    make("vae-digits-2")
    assert automatic("vae-digits") == Path("runs/vae-digits-3")


def test_resume_takes_the_last_and_overwrite_the_first():
    assert automatic("vae-digits", resume=True) == Path("runs/vae-digits")
    make("vae-digits", "vae-digits-2")
    assert automatic("vae-digits", resume=True) == Path("runs/vae-digits-2")
    assert automatic("vae-digits", overwrite=True) == Path("runs/vae-digits")
