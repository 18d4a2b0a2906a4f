"""`ppml-ops dags install`: copies once, keeps what was changed."""

from pathlib import Path

import pytest

from ppml_ops.cli.dags import install
from ppml_ops.errors import ConfigError


def test_files_are_copied_and_changed_ones_kept(tmp_path: Path, project: Path) -> None:
    dags, plugins = tmp_path / "dags", tmp_path / "plugins"
    dags.mkdir()
    plugins.mkdir()
    install(dags, plugins)
    dag = dags / "simple_query.py"
    assert dag.read_bytes() == (project / "dags" / "simple_query.py").read_bytes()
    assert [path.name for path in plugins.iterdir()] == ["ppml_ops_plugin.py"]

    dag.write_text("# mine\n")
    with pytest.raises(ConfigError, match=r"simple_query.py differs"):
        install(dags)
    assert dag.read_text() == "# mine\n"
    install(dags, replace=True)
    assert dag.read_bytes() == (project / "dags" / "simple_query.py").read_bytes()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        install(tmp_path / "nowhere")
