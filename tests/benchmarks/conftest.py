"""Makes `benchmarks/` importable without the project on the path: the package under test is the installed one."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"

spec = spec_from_file_location("benchmarks", FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)])
assert spec is not None
assert spec.loader is not None
sys.modules["benchmarks"] = package = module_from_spec(spec)
spec.loader.exec_module(package)
