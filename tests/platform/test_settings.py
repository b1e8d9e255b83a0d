"""persona.toml: what it becomes, and the line of every fault."""

from datetime import timedelta
from pathlib import Path

import pytest

from persona_platform.errors import ConfigError
from persona_platform.settings import StorageSettings, find_project, load_settings, parse_duration


def written(folder: Path, text: str) -> Path:
    path = folder / "persona.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_observe_and_have_no_target(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, '[project]\nname = "x"\n'))
    assert settings.limits.mode == "observe"
    assert settings.targets == ()


def test_a_target_takes_the_shared_limits_and_its_own_go_first(tmp_path: Path) -> None:
    text = (
        '[project]\nname = "x"\nslot = "30m"\n[limits]\nmode = "act"\nmax = 9\ncooldown_up = "2m"\n'
        'budget_day_total = 5.0\n[targets.web]\nlimits = { max = 4 }\n[targets.db]\npool = "data"\n'
    )
    settings = load_settings(written(tmp_path, text))
    web, db = settings.targets
    assert settings.project.slot == timedelta(minutes=30)
    assert (web.name, web.pool, web.limits.max, web.limits.mode) == ("web", "web", 4, "act")
    assert (db.pool, db.limits.max, db.limits.cooldown_up) == ("data", 9, timedelta(minutes=2))
    assert settings.budget_day == 5.0


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('[project]\nname = "x"\ntimezone = "Mars/Base"\n', 3, "not an IANA time zone"),
        ('[project]\nname = "x"\n[limits]\nmax = "many"\n', 4, "found 'many'"),
        ('[project]\nname = "x"\n[limits]\nmaximum = 3\n', 4, "did you mean max?"),
        ('[project]\nname = "x"\n\n[targets.web]\nlimits = { cooldown_up = "soon" }\n', 5, "not a duration"),
        ('[project]\nname = "x"\n[targets.web.limits]\nmin = 5\nmax = 2\n', 5, "max 2 is below min 5"),
        ('[project]\nname = "x"\n[targets.web.limits]\nmode = "act"\n', 4, "needs a max"),
        ('[project]\nname = "x"\n[targets.web.limits]\nmode = "go"\nmax = 2\n', 4, "must be one of observe"),
        ('[project]\nname = "x"\n[targets.web.unit.amounts]\ncpus = 2\n', 3, "cpus"),
        ('[project]\nname = "x"\n[surprise]\n', 3, "surprise"),
        ('[sources]\nsamples = ["a"]\n', 1, "project"),
        ('[project]\nname = "x"\n[storage]\npersonas = "postgres"\n', 4, "needs postgres_env"),
        ('[project]\nname = "x"\n[storage]\npostgres_env = "URL"\ndagster = "mysql"\n', 5, "'sqlite' or 'postgres'"),
        ('[project]\nname = "x"\n[storage]\npersonas = "lmdb"\npostgres_env = "URL"\n', 5, "nothing uses"),
        ('[project]\nname = "x"\n[storage]\npostgres = "URL"\n', 4, "did you mean postgres_env?"),
    ],
)
def test_every_fault_names_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        load_settings(path)
    first = str(raised.value).splitlines()[0]
    assert first.startswith(f"{path}:{line}: ")
    assert says in first


@pytest.mark.parametrize("key", ["postgres_env", "postgres_url", "personas", "dagster"])
def test_a_url_in_the_file_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    text = f'[project]\nname = "x"\n[storage]\n{key} = "postgresql://me:sesame@db/personas"\n'
    with pytest.raises(ConfigError) as raised:
        load_settings(written(tmp_path, text))
    assert "persona.toml:4: " in str(raised.value)
    assert "sesame" not in str(raised.value)


def test_storage_is_the_project_folder_until_it_says_otherwise(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, '[project]\nname = "x"\n')).storage == StorageSettings()
    text = '[project]\nname = "x"\n[storage]\npostgres_env = "URL"\npersonas = "postgres"\n'
    assert load_settings(written(tmp_path, text)).storage == StorageSettings("URL", "postgres", "sqlite")


def test_all_faults_are_shown_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, '[project]\nname = "x"\ntimezone = "Mars"\n[limits]\nmode = "act"\nmaximum = 3\n')
    with pytest.raises(ConfigError) as raised:
        load_settings(path)
    text = '[project]\nname = 3\n[limits]\nmaximum = 3\nmin = "a"\n'
    with pytest.raises(ConfigError) as more:
        load_settings(written(tmp_path, text))
    assert "maximum" in str(raised.value)
    assert [s.split(":")[1] for s in str(more.value).splitlines()] == ["2", "4", "5"]


def test_broken_toml_says_where(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        load_settings(written(tmp_path, '[project]\nname = "x\n'))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90s", timedelta(seconds=90)),
        ("1.5h", timedelta(minutes=90)),
        (" 7d ", timedelta(days=7)),
        ("15 m", timedelta(minutes=15)),
    ],
)
def test_durations(text: str, value: timedelta) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "15", "m", "15 minutes", "-5m"])
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="for instance 15m"):
        parse_duration(text)


def test_the_project_is_found_upward(tmp_path: Path) -> None:
    written(tmp_path, '[project]\nname = "x"\n')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_project(below).home == tmp_path
    (tmp_path / "persona.toml").unlink()
    with pytest.raises(ConfigError, match="persona init"):
        find_project(below)
