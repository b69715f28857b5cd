"""What all mixers of the table keep to, and each against its published numbers.

S steps, B batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, kstest
from torch import Tensor
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from balpoe.config.mixing import MIXERS, Mixer, Pairs
from balpoe.errors import InvalidFields, UserError
from balpoe.method.mixers.cmo import ContextRichOversampling
from balpoe.method.mixers.cutmix import CutMix
from balpoe.method.mixers.cutmix.boxes import clipped_box, draw_boxes
from balpoe.method.mixers.manifold_mixup import ManifoldMixup
from balpoe.method.mixers.mixup_cutmix import MixupCutMix
from balpoe.method.mixers.none import NoMixing
from balpoe.method.mixers.remix import Remix
from balpoe.method.mixers.unimix import UniMix
from tests.method.published_partners import (
    BATCH_LABELS,
    CLASSES_BY_TAU,
    COUNTS,
    IMAGES_BY_T,
)

COUNTS_C = torch.tensor(COUNTS, dtype=torch.float32)
HOST_READS = {"_local_scalar_dense", "nonzero", "masked_select", "equal"}
STEPS, BATCH = 40, 6

every_mixer = pytest.mark.parametrize("name", list(MIXERS.entries))


class NoHostReads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails where a value is read on the host, or a shape depends on one."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        operation = func.overloadpacket.__name__
        assert operation not in HOST_READS
        if operation == "index":
            assert not any(place is not None and place.dtype == torch.bool for place in args[1])
        return func(*args, **(kwargs or {}))


def images_of(seed: int, count: int = BATCH) -> Tensor:
    generator = np.random.default_rng(seed)
    images = torch.from_numpy(generator.normal(size=(count, 3, 8, 10)).astype(np.float32))
    return images.to(memory_format=torch.channels_last)


def pairs_of(labels: tuple[int, ...], partners: tuple[int, ...]) -> Pairs:
    return Pairs(torch.tensor(labels), torch.tensor(partners), COUNTS_C)


PAIRS = pairs_of((0, 3, 2, 0, 1, 3), (2, 1, 0, 0, 3, 3))


def mixer_of(name: str) -> Mixer:
    return MIXERS[name]()


def drawn_of(mixer: Mixer, seed: int = 0, alpha: float = 0.8) -> Tensor:
    return mixer.draw(alpha, STEPS, BATCH, np.random.default_rng(seed))


@every_mixer
def test_all_draws_of_an_epoch_depend_on_the_generator_alone(name: str) -> None:
    mixer = mixer_of(name)
    drawn = drawn_of(mixer)
    assert len(drawn) == STEPS
    assert drawn.is_floating_point()
    assert torch.equal(drawn, drawn_of(mixer))
    assert torch.equal(drawn, drawn_of(mixer, seed=1)) == (not mixer.mixes)


@every_mixer
@pytest.mark.parametrize("size", [BATCH, BATCH - 2, 1])
def test_shares_lie_in_0_to_1_also_in_a_partial_batch(name: str, size: int) -> None:
    mixer = mixer_of(name)
    pairs = Pairs(PAIRS.labels_b[:size], PAIRS.partner_labels_b[:size], COUNTS_C)
    images, partners = images_of(0, size), images_of(1, size)
    for drawn in drawn_of(mixer):
        mixed = mixer.mix(images, partners, drawn, pairs)
        assert mixed.images_bdhw.shape == images.shape
        assert mixed.images_bdhw.dtype == mixed.xi.dtype == torch.float32
        assert mixed.xi.shape in ((), (size,))
        assert ((mixed.xi >= 0) & (mixed.xi <= 1)).all()


@every_mixer
def test_no_value_is_read_on_the_host(name: str) -> None:
    mixer = mixer_of(name)
    drawn = drawn_of(mixer)
    with NoHostReads():  # type: ignore[no-untyped-call]
        for row in drawn:
            mixer.mix(images_of(0), images_of(1), row, PAIRS)


def test_host_reads_are_found() -> None:
    images = images_of(0)
    reads: list[Callable[[], object]] = [
        lambda: float(images[0, 0, 0, 0]),
        lambda: images[images > 0],
        lambda: images.nonzero(),
        lambda: torch.masked_select(images, images > 0),
    ]
    for read in reads:
        with pytest.raises(AssertionError), NoHostReads():  # type: ignore[no-untyped-call]
            read()


@every_mixer
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_memory_format_of_the_images_is_kept(name: str, layout: torch.memory_format) -> None:
    mixer = mixer_of(name)
    images, partners = (images_of(seed).contiguous(memory_format=layout) for seed in (0, 1))
    for drawn in drawn_of(mixer)[:8]:
        mixed = mixer.mix(images, partners, drawn, PAIRS)
        assert mixed.images_bdhw.is_contiguous(memory_format=layout)


@every_mixer
def test_every_pixel_is_a_convex_combination_and_the_batch_stays_as_it_is(name: str) -> None:
    mixer = mixer_of(name)
    images, partners = images_of(0), images_of(1)
    before = images.clone()
    low, high = torch.minimum(images, partners), torch.maximum(images, partners)
    for drawn in drawn_of(mixer):
        mixed = mixer.mix(images, partners, drawn, PAIRS).images_bdhw
        assert ((mixed >= low - 1e-6) & (mixed <= high + 1e-6)).all()
    assert torch.equal(images, before)


@every_mixer
def test_mixing_commutes_with_exchanging_images_of_a_batch(name: str) -> None:
    mixer = mixer_of(name)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    swapped = Pairs(PAIRS.labels_b[order], PAIRS.partner_labels_b[order], COUNTS_C)
    for drawn in drawn_of(mixer)[:8]:
        mixed = mixer.mix(images_of(0), images_of(1), drawn, PAIRS)
        of_places = drawn[order] if isinstance(mixer, UniMix) else drawn
        other = mixer.mix(images_of(0)[order], images_of(1)[order], of_places, swapped)
        assert_close(other.images_bdhw, mixed.images_bdhw[order], rtol=0, atol=0)
        assert_close(other.xi, mixed.xi[order] if mixed.xi.ndim else mixed.xi, rtol=0, atol=0)


def test_no_mixing_gives_the_images_themselves() -> None:
    images = images_of(0)
    for drawn in drawn_of(NoMixing()):
        mixed = NoMixing().mix(images, images_of(1), drawn, PAIRS)
        assert mixed.images_bdhw is images
        assert mixed.xi == 1


# UniMix: numbers of the released code, METHODS_TO_COMPARE.md section 2


def test_the_share_of_unimix_is_moved_towards_the_rarer_class() -> None:
    pairs = pairs_of((0, 3, 1), (3, 0, 2))
    images, partners = images_of(0, 3), images_of(1, 3)
    zero = UniMix().mix(images, partners, torch.zeros(3), pairs)
    assert_close(zero.xi, torch.tensor([0.047619, 0.952381, 0.285714]), rtol=0, atol=1e-5)
    mixed = UniMix().mix(images, partners, torch.tensor([0.3, 0.97, 0.6]), pairs)
    assert_close(mixed.xi, torch.tensor([0.347619, 0.922381, 0.885714]), rtol=0, atol=1e-5)
    for row, xi in enumerate(mixed.xi.tolist()):
        expected = xi * images[row] + (1 - xi) * partners[row]
        assert_close(mixed.images_bdhw[row], expected, rtol=0, atol=1e-6)


def test_a_share_of_exactly_1_stays_1() -> None:
    mixed = UniMix().mix(
        images_of(0, 1), images_of(1, 1), torch.tensor([0.5]), pairs_of((1,), (1,))
    )
    assert mixed.xi.tolist() == [1.0]
    assert torch.equal(mixed.images_bdhw, images_of(0, 1))


@pytest.mark.parametrize(("tau", "expected"), CLASSES_BY_TAU)
def test_classes_of_the_whole_set_are_drawn_in_proportion_to_a_power_of_their_prior(
    tau: float, expected: tuple[float, ...]
) -> None:
    sampling = UniMix(tau=tau).partner_sampling(COUNTS)
    assert sampling.whole_set
    shares_c = np.multiply(COUNTS, sampling.weights)
    assert shares_c / shares_c.sum() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("t", "expected"), IMAGES_BY_T)
def test_partners_in_the_batch_are_those_of_the_released_sampler(
    t: float, expected: tuple[float, ...]
) -> None:
    sampling = UniMix(partners="batch", tau=1 + t).partner_sampling(COUNTS)
    assert not sampling.whole_set
    weights_b = np.take(sampling.weights, BATCH_LABELS)
    assert weights_b / weights_b.sum() == pytest.approx(expected, abs=1e-5)


# Remix: numbers of the released code, METHODS_TO_COMPARE.md section 5


@pytest.mark.parametrize(
    ("own", "partner", "xi", "share"),
    [
        (0, 2, 0.3, 0.0),
        (2, 0, 0.7, 1.0),
        (0, 1, 0.3, 0.3),
        (0, 2, 0.6, 0.6),
        (2, 0, 0.5, 0.5),
        (0, 2, 0.5, 0.5),
    ],
)
def test_remix_gives_the_label_to_the_rarer_class(
    own: int, partner: int, xi: float, share: float
) -> None:
    images, partners = images_of(0, 1), images_of(1, 1)
    mixed = Remix().mix(images, partners, torch.tensor(xi), pairs_of((own,), (partner,)))
    assert mixed.xi.tolist() == pytest.approx([share], abs=1e-6)
    expected = xi * images + (1 - xi) * partners
    assert_close(mixed.images_bdhw, expected, rtol=0, atol=1e-6)


@given(
    counts=st.lists(st.integers(1, 10**6), min_size=2, max_size=2),
    xi=st.floats(0, 1, width=32),
    kappa=st.integers(1, 20),
    tau=st.floats(0, 1),
)
def test_the_shares_of_remix_follow_their_definition(
    counts: list[int], xi: float, kappa: int, tau: float
) -> None:
    own, partner = counts
    pairs = Pairs(torch.tensor([0]), torch.tensor([1]), torch.tensor(counts, dtype=torch.float32))
    mixed = Remix(kappa=float(kappa), tau=tau).mix(
        images_of(0, 1), images_of(1, 1), torch.tensor(xi), pairs
    )
    threshold = float(torch.tensor(tau, dtype=torch.float32))
    if own >= kappa * partner and xi < threshold:
        expected = 0.0
    elif kappa * own <= partner and float(1 - torch.tensor(xi)) < threshold:
        expected = 1.0
    else:
        expected = xi
    assert mixed.xi.tolist() == [expected]


# CutMix: numbers of the released code, METHODS_TO_COMPARE.md section 6


@pytest.mark.parametrize(
    ("share", "x", "y", "box", "adjusted"),
    [
        (0.75, 16, 16, (8, 8, 24, 24), 0.75),
        (0.75, 0, 31, (0, 23, 8, 32), 0.929688),
        (0.3, 5, 20, (0, 7, 18, 32), 0.560547),
    ],
)
def test_boxes_are_those_of_the_released_code(
    share: float, x: int, y: int, box: tuple[int, ...], adjusted: float
) -> None:
    drawn = torch.tensor([share, (y + 0.5) / 32, (x + 0.5) / 32], dtype=torch.float64)
    found = clipped_box(drawn, 32, 32)
    assert tuple(map(int, (found.left, found.top, found.right, found.bottom))) == box
    images, partners = torch.zeros(2, 3, 32, 32), torch.ones(2, 3, 32, 32)
    mixed = CutMix().mix(images, partners, drawn, pairs_of((0, 1), (1, 0)))
    assert float(mixed.xi) == pytest.approx(adjusted, abs=1e-5)
    left, top, right, bottom = box
    expected = images.clone()
    expected[:, :, top:bottom, left:right] = 1
    assert torch.equal(mixed.images_bdhw, expected)


@given(
    share=st.floats(0, 1),
    centre=st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
)
def test_boxes_agree_with_integer_arithmetic_and_shares_with_counted_pixels(
    share: float, centre: tuple[float, float], height: int, width: int
) -> None:
    drawn = torch.tensor([share, *centre], dtype=torch.float64)
    expected = []
    for middle, length in zip(centre, (height, width), strict=True):
        side = int(length * np.sqrt(1.0 - share))
        place = int(middle * length)
        expected.append(range(max(0, place - side // 2), min(length, place + side // 2)))
    images = torch.zeros(1, 1, height, width)
    mixed = CutMix().mix(images, images + 1, drawn, pairs_of((0,), (1,)))
    inside = {
        (row, column)
        for row in range(height)
        for column in range(width)
        if mixed.images_bdhw[0, 0, row, column] == 1
    }
    assert inside == {(row, column) for row in expected[0] for column in expected[1]}
    assert float(mixed.xi) == pytest.approx(1 - len(inside) / (height * width), abs=1e-6)


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_a_share_of_the_batches_gets_a_box_of_a_uniform_centre(probability: float) -> None:
    drawn = draw_boxes(0.7, probability, 6000, np.random.default_rng(0))
    boxed = drawn[drawn[:, 0] < 1]
    assert len(boxed) / 6000 == pytest.approx(probability, abs=0.02)
    if probability:
        assert kstest(boxed[:, 0].numpy(), beta(0.7, 0.7).cdf).pvalue > 1e-4
    for centre in (1, 2):
        assert kstest(drawn[:, centre].numpy(), "uniform").pvalue > 1e-4


def test_a_batch_without_a_box_stays_as_it_is_to_the_last_bit() -> None:
    images = images_of(0)
    for drawn in drawn_of(CutMix(probability=0.0)):
        mixed = CutMix().mix(images, images_of(1), drawn, PAIRS)
        assert torch.equal(mixed.images_bdhw, images)
        assert mixed.xi == 1


@pytest.mark.parametrize("cutmix_probability", [0.0, 0.5, 1.0])
def test_each_batch_gets_mixup_or_cutmix(cutmix_probability: float) -> None:
    mixer = MixupCutMix(cutmix_probability=cutmix_probability, cutmix_alpha=1.0)
    drawn = mixer.draw(0.4, 6000, BATCH, np.random.default_rng(0))
    cuts_s = drawn[:, 0] < 1
    assert float(cuts_s.double().mean()) == pytest.approx(cutmix_probability, abs=0.02)
    assert (drawn[cuts_s, 3] == 1).all()
    if cutmix_probability > 0:
        assert kstest(drawn[cuts_s, 0].numpy(), beta(1, 1).cdf).pvalue > 1e-4
    if cutmix_probability < 1:
        assert kstest(drawn[~cuts_s, 3].numpy(), beta(0.4, 0.4).cdf).pvalue > 1e-4
    images, partners = images_of(0), images_of(1)
    for row in drawn[:20]:
        mixed = mixer.mix(images, partners, row, PAIRS)
        xi = row[3].float()
        cut = CutMix().mix(images, partners, row[:3], PAIRS)
        expected = cut.images_bdhw if row[0] < 1 else partners.lerp(images, xi)
        assert torch.equal(mixed.images_bdhw, expected)
        assert mixed.xi == (cut.xi if row[0] < 1 else xi)


# CMO: numbers of github.com/naver-ai/cmo at 10d2d09, run on the input of METHODS_TO_COMPARE.md


@pytest.mark.parametrize(
    ("r", "of_images", "of_classes"),
    [
        (1.0, (0.142857, 0.285714, 0.714286, 2.857143), (0.25, 0.25, 0.25, 0.25)),
        (0.5, (0.438480, 0.620105, 0.980472, 1.960943), (0.420534, 0.297363, 0.188069, 0.094034)),
    ],
)
def test_partners_of_cmo_have_the_weights_of_the_released_sampler(
    r: float, of_images: tuple[float, ...], of_classes: tuple[float, ...]
) -> None:
    sampling = ContextRichOversampling(r=r).partner_sampling(COUNTS)
    assert sampling.whole_set
    weights_c = np.array(sampling.weights)
    assert weights_c / weights_c.mean() == pytest.approx(of_images, abs=1e-5)
    shares_c = weights_c * COUNTS
    assert shares_c / shares_c.sum() == pytest.approx(of_classes, abs=1e-5)


def test_the_loss_of_a_batch_with_cmo_is_that_of_the_released_code() -> None:
    f_bc = torch.tensor([[2.0, 0.5, -1.0, 0.3], [0.1, 1.2, 0.4, -0.7], [-0.5, 0.0, 1.5, 0.8]])
    pairs = pairs_of((0, 3, 2), (2, 0, 1))
    drawn = torch.tensor([0.3, 5.5 / 32, 20.5 / 32], dtype=torch.float64)
    images = torch.zeros(3, 3, 32, 32)
    mixed = ContextRichOversampling().mix(images, images + 1, drawn, pairs)
    assert float(mixed.images_bdhw.mean()) == pytest.approx(0.439453, abs=1e-5)
    own, partner = (
        torch.nn.functional.cross_entropy(f_bc, labels_b)
        for labels_b in (pairs.labels_b, pairs.partner_labels_b)
    )
    loss = mixed.xi * own + (1 - mixed.xi) * partner
    assert float(loss) == pytest.approx(1.725914, abs=1e-5)


def test_boxes_of_images_that_are_not_square_are_those_of_the_released_code() -> None:
    drawn = torch.tensor([0.3, 5.5 / 24, 20.5 / 40], dtype=torch.float64)
    found = clipped_box(drawn, 24, 40)
    assert tuple(map(int, found)) == (0, 4, 15, 36)  # its first axis is that of the rows


# manifold mixup: github.com/vikasverma1077/manifold_mixup at 870ef77, `mixup_process`


def test_mixed_activations_are_those_of_the_released_code() -> None:
    f_bc = torch.tensor([[2.0, 0.5, -1.0, 0.3], [0.1, 1.2, 0.4, -0.7], [-0.5, 0.0, 1.5, 0.8]])
    mixer = ManifoldMixup(layers=("stage1",))
    mixed = mixer.mix_activations(2, f_bc, torch.tensor([2, 0, 1]), torch.tensor([1.0, 1.0, 0.3]))
    assert_close(mixed[0], torch.tensor([0.25, 0.15, 0.75, 0.65]), rtol=0, atol=1e-6)
    assert_close(mixed, 0.3 * f_bc + 0.7 * f_bc[[2, 0, 1]], rtol=0, atol=1e-6)


def test_one_of_the_layers_is_mixed_in_each_batch_all_equally_often() -> None:
    mixer = ManifoldMixup(layers=("input", "stage1", "stage2"))
    xi_sk = mixer.draw(0.8, 6000, BATCH, np.random.default_rng(0))
    mixed_sk = xi_sk < 1
    assert (mixed_sk.sum(dim=1) == 1).all()
    shares_k = mixed_sk.double().mean(dim=0)
    assert_close(shares_k.tolist(), [1 / 3, 0.0, 1 / 3, 1 / 3], rtol=0, atol=0.02)
    assert kstest(xi_sk[mixed_sk].numpy(), beta(0.8, 0.8).cdf).pvalue > 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layers_that_are_not_mixed_keep_every_bit(dtype: torch.dtype) -> None:
    mixer = ManifoldMixup(layers=("input", "stage1"))
    partner_b = torch.tensor([1, 0, 3, 2, 5, 4])
    activations = images_of(0).to(dtype)
    for drawn in drawn_of(mixer):
        images = mixer.mix(images_of(0), images_of(1), drawn, PAIRS).images_bdhw
        stem = mixer.mix_activations(1, activations, partner_b, drawn)
        stage = mixer.mix_activations(2, activations, partner_b, drawn)
        assert stem is activations
        assert stage.dtype == dtype
        assert torch.equal(images, images_of(0)) == (drawn[0] == 1)
        assert torch.equal(stage, activations) == (drawn[2] == 1)


def test_mixed_activations_read_nothing_on_the_host_and_keep_their_format() -> None:
    mixer = ManifoldMixup(layers=("input", "stem", "stage1"))
    partner_b = torch.tensor([1, 0, 3, 2, 5, 4])
    drawn = drawn_of(mixer)
    with NoHostReads():  # type: ignore[no-untyped-call]
        mixed = [mixer.mix_activations(2, images_of(0), partner_b, row) for row in drawn]
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in mixed)


def test_layers_to_mix_are_distinct_and_shared_by_the_experts() -> None:
    with pytest.raises(InvalidFields, match="must name at least one of input, stem, stage1"):
        ManifoldMixup(layers=())
    with pytest.raises(InvalidFields, match="must differ, got"):
        ManifoldMixup(layers=("input", "input"))
    mixer = ManifoldMixup(layers=("input", "stage2"))
    mixer.require_layers(["stem", "stage1", "stage2", "pool"])
    with pytest.raises(UserError, match=r"do not share stage2: choose among input, stem or stage1"):
        mixer.require_layers(["stem", "stage1"])
