"""The map of the package shows the floors that the import contract enforces."""

import re
import tomllib
from pathlib import Path

import bridge

ROOT = Path(__file__).parents[1]


def layers() -> list[set[str]]:
    """Return the floors of the import contract, highest first, without `__main__`."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contracts = (one for one in settings["contracts"] if one["type"] == "layers")
    [contract] = (one for one in contracts if one["containers"] == ["bridge"])
    assert contract["exhaustive"]
    return [set(layer.split(" | ")) for layer in contract["layers"] if layer != "__main__"]


def test_the_map_in_the_package_shows_the_floors_of_the_contract() -> None:
    floors = re.findall(r"^    \w+ +(\w+(?:, \w+)*)  ", bridge.__doc__, re.MULTILINE)
    assert [set(floor.split(", ")) for floor in floors] == layers()


def test_every_module_is_on_the_map() -> None:
    found = {path.stem for path in (ROOT / "bridge").iterdir() if path.suffix == ".py"}
    found |= {path.parent.name for path in (ROOT / "bridge").glob("*/__init__.py")}
    assert found - {"__init__", "__main__"} == set().union(*layers())
