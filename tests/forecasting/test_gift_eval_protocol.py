"""The benchmark's evaluator keeps the published protocol: windows, and both naive rules to four decimals."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent.parent.parent
DATA = HERE.parent / "shared" / "benchmarks" / "gift_eval"
KNOWN = {  # CRPS, MASE, ND of naive and of seasonal naive on the cut series
    "l2c 5T short": ((0.1070, 0.1629, 0.1075), (0.5317, 0.9452, 0.6450)),
    "l2c 5T medium": ((0.3802, 0.7465, 0.4624), (0.5773, 1.1673, 0.7457)),
    "l2c 5T long": ((0.5657, 1.0146, 0.6916), (0.7307, 1.4714, 0.9849)),
    "l2c H short": ((0.5386, 0.9874, 0.6440), (0.6497, 1.2396, 0.8335)),
    "l2c H medium": ((1.0108, 1.6334, 1.2189), (1.1168, 1.6160, 1.2035)),
    "l2c H long": ((0.8251, 1.2282, 0.7790), (1.0134, 1.2802, 0.8248)),
    "application 10S short": ((0.0379, 3.3460, 0.0402), (0.0127, 0.8504, 0.0160)),
    "application 10S medium": ((0.1349, 13.0331, 0.1539), (0.0128, 0.8430, 0.0146)),
    "application 10S long": ((0.1042, 7.6426, 0.0965), (0.0129, 0.7487, 0.0129)),
}


@pytest.fixture(scope="module")
def gift_eval() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gift_eval", HERE / "benchmarks" / "gift_eval.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("steps", "horizon", "count"),
    [
        (31_968, 48, 20), (31_968, 480, 7), (31_968, 720, 5), (2_664, 48, 6), (2_664, 480, 1), (2_664, 720, 1),
        (8_834, 60, 15), (8_834, 600, 2), (8_834, 900, 1),
    ],
)  # fmt: skip
def test_windows_are_those_of_the_published_split(gift_eval: ModuleType, steps: int, horizon: int, count: int) -> None:
    starts = gift_eval.windows(steps, horizon)
    assert len(starts) == count
    assert [b - a for a, b in zip(starts, [*starts[1:], steps], strict=True)] == [horizon] * count


@pytest.mark.skipif(not DATA.exists(), reason="the benchmark's series are not here")
def test_both_naive_rules_score_what_is_known(gift_eval: ModuleType) -> None:
    found = {}
    for data in gift_eval.datasets(DATA, 0.0):
        for term in gift_eval.TERMS:
            by = {s.method: (s.crps, s.mase, s.nd) for s in gift_eval.scored(data, term, with_ours=False)}
            found[f"{data.name} {term}"] = (by["naive"], by["seasonal naive"])
    assert set(found) == set(KNOWN)
    for name, both in KNOWN.items():
        for said, known in zip(found[name], both, strict=True):
            assert said == pytest.approx(known, abs=5.1e-5), name
