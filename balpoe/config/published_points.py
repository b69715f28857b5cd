"""The known points of published methods.

The schedule, the augmentation and the backbone are those of the study; a point sets what makes the
method, with the values published for CIFAR.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from balpoe.config.fields import Choice

Assignment = Mapping[str, Choice]

DEFAULTS: Final[Mapping[str, Assignment]] = {
    "ce": {"experts.count": 1, "experts.centre": 1.0, "mixup.alpha": 0.0},
    "balanced_softmax": {"experts.count": 1, "experts.centre": 0.0, "mixup.alpha": 0.0},
    "balpoe": {
        "experts.count": 3,
        "experts.spread": 1.0,
        "experts.centre": 0.0,
        "experts.sharing": "shared",
        "mixup.alpha": 0.4,
    },
}
"""One expert with λ = 1; one with λ = 0; three with λ = 1, 0, −1 and the α of CIFAR-100-LT."""

_CE: Final[Assignment] = {"loss.name": "cross_entropy", "experts.count": 1, "mixup.alpha": 0.0}
_THREE: Final[Assignment] = {"experts.count": 3, "experts.sharing": "shared", "mixup.alpha": 0.0}
_DRW: Final[Assignment] = {"reweighting.beta": 0.9999, "reweighting.start": 0.8}
_COSINE: Final[Assignment] = {"model.classifier": "cosine"}
_LINEAR: Final[Assignment] = {"model.classifier": "linear"}
_UNIMIX: Final[Assignment] = {
    "mixing.name": "unimix",
    "mixing.partners": "whole_set",
    "mixup.alpha": 0.8,
}
_REMIX: Final[Assignment] = {"mixing.name": "remix", "mixup.alpha": 1.0}
_BAYIAS: Final[Assignment] = {**_CE, **_LINEAR, "loss.name": "bayias"}
_LDAM: Final[Assignment] = {**_CE, **_COSINE, "loss.name": "ldam", "loss.largest_margin": 0.5}

PAPERS: Final[Mapping[str, Assignment]] = {
    **DEFAULTS,
    "mixup": {**_CE, "mixing.name": "mixup", "mixup.alpha": 1.0},
    "remix": {**_CE, **_REMIX},
    "remix_drw": {**_CE, **_REMIX, **_DRW, "reweighting.normalisation": "images"},
    "cutmix": {**_CE, "mixing.name": "cutmix", "mixup.alpha": 1.0},
    "manifold_mixup": {**_CE, "mixing.name": "manifold_mixup", "mixup.alpha": 2.0},
    "cmo": {
        **DEFAULTS["balanced_softmax"],
        "mixing.name": "cmo",
        "mixup.alpha": 1.0,
        "mixup.until": 0.985,
    },
    "unimix": {**_CE, **_LINEAR, **_UNIMIX},
    "bayias": _BAYIAS,
    "unimix_bayias": {**_BAYIAS, **_UNIMIX},
    "focal": {**_CE, "loss.name": "focal", "loss.gamma": 1.0},
    "class_balanced": {**_CE, "loss.name": "class_balanced", "loss.beta": 0.9999},
    "class_balanced_focal": {
        **_CE,
        "loss.name": "class_balanced_focal",
        "loss.beta": 0.9999,
        "loss.gamma": 1.0,
        "loss.form": "weighted",
    },
    "ldam": _LDAM,
    "ldam_drw": {**_LDAM, **_DRW},
    "lade": {**_CE, **_LINEAR, "loss.name": "lade", "loss.alpha": 0.1, "loss.rho": 0.1},
    "sade": {**_THREE, "loss.name": "sade", "loss.tau": 2.0},
    "ride": {**_THREE, **_COSINE, **_DRW, "loss.name": "ride", "loss.diversity": -0.45},
    "crt": {**_CE, **_LINEAR, "second_stage.name": "crt"},
    "lws": {**_CE, **_LINEAR, "second_stage.name": "lws"},
    "tau_norm": {**_CE, **_LINEAR, "second_stage.name": "tau_norm"},
    "mislas": {
        **_CE,
        **_LINEAR,
        "mixing.name": "mixup",
        "mixup.alpha": 1.0,
        "second_stage.name": "mislas",
        "second_stage.head": 0.4,
        "second_stage.tail": 0.1,
    },
}
"""All methods that the papers of BalPoE and UniMix compare with and that balpoe has."""

POINT_SETS: Final[Mapping[str, Mapping[str, Assignment]]] = {"papers": PAPERS}
"""The sets of points that `known_points` of a study file can name."""
