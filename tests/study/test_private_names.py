"""The private names of a library are used in one module, and the installed version has them."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import optuna
import ray
from optuna.storages import RDBStorage, get_storage

ROOT = Path(__file__).parents[2]
OPTUNA = "balpoe/study/storage/optuna_private.py"
TUNE = "balpoe/study/execution/tune_private.py"
RAY = "balpoe/cluster/ray_private.py"

OPTUNA_IMPORTS = (
    "optuna.storages._cached_storage:_CachedStorage",
    "optuna.study._constrained_optimization:_CONSTRAINTS_KEY",
)
OPTUNA_ATTRIBUTES = {
    "Study": ("_storage", "_study_id"),
    "FrozenTrial": ("_trial_id",),
    "RDBStorage": ("_create_new_trial", "_get_trials", "_set_trial_param"),
    "the cache of RDBStorage": (
        "_add_trials_to_cache",
        "_backend",
        "_lock",
        "_read_trials_from_remote_storage",
        "_studies",
        "_trial_id_to_study_id_and_number",
    ),
}
TUNE_IMPORTS = ("ray.tune.execution.class_cache:ENV_VARS_TO_PROPAGATE",)


def missing_imports(*places: str) -> Iterator[str]:
    for place in places:
        module, _, name = place.partition(":")
        try:
            found = hasattr(importlib.import_module(module), name)
        except ImportError:
            found = False
        if not found:
            yield place


def used_names(file: str) -> set[str]:
    """Return the private names that `file` imports, or reads of any object."""
    nodes = list(ast.walk(ast.parse((ROOT / file).read_text())))
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    imported = {
        name.name for node in nodes if isinstance(node, ast.ImportFrom) for name in node.names
    }
    return {name for name in read | imported if is_private(name)}


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{name.name}" for name in node.names]
    return [name.name for name in node.names] if isinstance(node, ast.Import) else []


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def test_optuna_has_every_private_name() -> None:
    study = optuna.create_study(storage=RDBStorage("sqlite://"))
    study.enqueue_trial({"x": 0.5})
    [trial] = study.get_trials()
    owners = {
        "Study": study,
        "FrozenTrial": trial,
        "RDBStorage": RDBStorage,
        "the cache of RDBStorage": get_storage(RDBStorage("sqlite://")),
    }
    missing = [
        *missing_imports(*OPTUNA_IMPORTS),
        *(
            f"{owner}.{name}"
            for owner, names in OPTUNA_ATTRIBUTES.items()
            for name in names
            if not hasattr(owners[owner], name)
        ),
    ]
    if trial.system_attrs.get("fixed_params") != {"x": 0.5}:
        missing.append("FrozenTrial.system_attrs['fixed_params'] of an enqueued trial")
    assert not missing, f"Optuna {optuna.__version__} lacks what {OPTUNA} uses: {missing}"


def test_tune_has_every_private_name() -> None:
    missing = list(missing_imports(*TUNE_IMPORTS))
    assert not missing, f"Ray {ray.__version__} lacks what {TUNE} uses: {missing}"


def test_every_private_name_of_optuna_is_looked_for() -> None:
    imports = {place.partition(":")[2] for place in OPTUNA_IMPORTS}
    attributes = {name for names in OPTUNA_ATTRIBUTES.values() for name in names}
    assert used_names(OPTUNA) == imports | attributes


def test_no_other_module_imports_private_names() -> None:
    """Ruff (SLF001) refuses private attributes; it does not look at imports."""
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "balpoe").rglob("*.py")}
    found = {
        (file, name)
        for file in files - {OPTUNA, TUNE, RAY}
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        for name in imported_names(node)
        if any(is_private(part) for part in name.split("."))
    }
    assert {(file, name) for file, name in found if not name.startswith("_typeshed.")} == set()
