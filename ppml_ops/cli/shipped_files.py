"""The example DAGs and the plugin file: folders of a checkout, or what a wheel brings of them."""

from pathlib import Path

import ppml_ops


def shipped_folder(name: str) -> Path:
    """The folder `dags` or `plugins`. It lies beside the package in a checkout, in this package in a wheel."""
    root = Path(ppml_ops.__file__).parent
    in_wheel = root / "cli" / "shipped" / name
    return in_wheel if in_wheel.is_dir() else root.parent / name
