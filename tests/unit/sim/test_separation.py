"""The product contains no simulator: nothing in it imports one, makes certificates for one, or signs quotes."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import ppml_ops

PACKAGE = Path(ppml_ops.__file__).parent
ROOT = Path(__file__).parents[3]


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ("import_module", "__import__"):
                yield str(node.args[0].value)


def test_no_import_of_the_simulator():
    files = list(PACKAGE.rglob("*.py"))
    assert len(files) > 10
    for path in files:
        names = list(imported(ast.parse(path.read_text())))
        assert not [name for name in names if name.split(".")[0] == "ppml_sim"], path


def test_attestation_makes_no_signatures():
    for path in (PACKAGE / "attestation").rglob("*.py"):
        called = {
            getattr(n.func, "attr", "")
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Call)
        }
        assert not called & {"sign", "generate_private_key", "derive_private_key", "CertificateBuilder"}, path


def test_root_is_no_setting():
    """Which root is trusted comes from no environment variable or configuration file."""
    for path in (PACKAGE / "attestation").rglob("*.py"):
        assert "environ" not in path.read_text() and "Settings" not in path.read_text(), path


def test_wheels_are_separate():
    product = tomllib.loads((ROOT / "pyproject.toml").read_text())
    simulator = tomllib.loads((ROOT / "sim" / "pyproject.toml").read_text())
    assert product["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["ppml_ops"]
    assert not [d for d in product["project"]["dependencies"] if "sim" in d]
    assert simulator["project"]["name"] == "ppml-sim"


def test_loading_attestation_loads_no_simulator():
    code = (
        "import sys, ppml_ops.attestation.appraise, ppml_ops.attestation.policy, ppml_ops.attestation.tsm;"
        "import ppml_ops.attestation.socket_device; sys.exit(any('ppml_sim' in name for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
