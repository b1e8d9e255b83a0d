"""The domain imports nothing that it must not, also not through somebody else; the dbt folder is no package."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOMAIN = (
    "utilization",
    "calendars",
    "fleet",
    "personas",
    "outlook",
    "forecasting",
    "capacity",
    "feedback",
    "replay",
)
FORBIDDEN = ("dagster", "duckdb", "lmdb", "sqlalchemy", "kubernetes", "boto3", "starlette", "click")


@pytest.mark.parametrize("package", DOMAIN)
def test_importing_a_domain_package_loads_nothing_forbidden(package: str) -> None:
    modules = sorted(
        ".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for f in (ROOT / "persona_platform" / package).rglob("*.py")
    )
    code = (
        "import sys, importlib\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print([m for m in {FORBIDDEN!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_dbt_folder_does_not_shadow_the_library() -> None:
    assert not (ROOT / "dbt" / "__init__.py").exists()
