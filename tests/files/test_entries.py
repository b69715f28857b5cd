"""Study files that name the entries of tables are read without torch, for every entry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

STUDY = """
name: s
question: ""
data: {name: digits_lt}
search:
  experts.count: {type: int, low: 1, high: 3}
objectives: {val/accuracy: maximize}
budget: {trials: 2}
"""

READ_EVERY_ENTRY = """
import sys

sys.modules["torch"] = None  # importing it raises ImportError

from pathlib import Path

from balpoe.config import entry_tables
from balpoe.config.augmentation import POLICIES, Policy
from balpoe.config.loss import LOSSES, Loss
from balpoe.config.mixing import MIXERS, Mixer
from balpoe.config.model import BACKBONES, BackboneFamily
from balpoe.files import load_study

path, study = Path(sys.argv[1]), sys.argv[2]
sections = {
    Loss: "loss: {name: %s}",
    Mixer: "mixing: {name: %s}",
    Policy: "training: {augmentation: {policies: [{name: %s}]}}",
    BackboneFamily: "model: {backbone: %s}",
}
for table in entry_tables._TABLES.values():
    assert table.entries
for base, section in sections.items():
    table = entry_tables.table_of(base)
    for name, settings in table.entries.items():
        chosen = settings.names[0].partition(",")[0] if base is BackboneFamily else name
        path.write_text(study + section % chosen)
        spec = load_study(path)
        print(name, type(spec.base.loss).__name__, spec.base.model.backbone)
        assert settings().name == name
"""


def test_every_entry_is_read_from_a_study_without_torch(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", READ_EVERY_ENTRY, str(tmp_path / "study.yaml"), STUDY]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    names = [line.split()[0] for line in ended.stdout.splitlines()]
    assert set(names) >= {"logit_adjustment", "mixup", "rand_augment", "cifar_resnet"}
