"""Who may import whom: hardware stands alone, the model is its own witness, boards never simulate."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HARDWARE = {"amaranth", "offramp"}


def imports(path, modules=()):
    """Return what the file at ``path`` imports, by full names; what is taken from a package may be one."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & set(modules)
    return found


def foreign(path, allowed):
    """Return what the file at ``path`` imports beyond the standard library and the packages ``allowed``."""
    return {
        name
        for name in imports(path)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not any(name == package or name.startswith(f"{package}.") for package in allowed)
    }


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [
        ("hdl", HARDWARE),
        ("sim/offramp_sim/model", {"offramp_sim.model"}),
        ("boards", HARDWARE | {"amaranth_boards", "offramp_boards"}),
    ],
)
def test_nothing_else_is_imported(folder, allowed):
    files = list((ROOT / folder).rglob("*.py"))
    assert files
    assert {path: names for path in files if (names := foreign(path, allowed))} == {}


def test_the_judge_shares_no_code_with_what_it_judges():
    assert foreign(ROOT / "sim/offramp_sim/judge.py", set()) == set()


TOPS = {
    "offramp.export",
    "offramp.receive.path",
    "offramp.send.path",
    "offramp.top.nic",
    "offramp.top.receive",
    "offramp.top.send",
    "offramp.walk.chain",
}
"""What puts stages together; a higher one may hold a lower one."""

GROUND = {
    "offramp.checksum",
    "offramp.edge",
    "offramp.packet",
    "offramp.queue",
    "offramp.ram",
    "offramp.records",
    "offramp.send.train",
    "offramp.top.counters",
    "offramp.walk.layout",
    "offramp.walk.place",
    "offramp.walk.window",
    "offramp.walk.word",
}
"""What stages share: streams, layouts of what they tell each other, and plain parts."""

LENT = {
    ("offramp.receive.addresses", "offramp.walk.addresses"),
    ("offramp.receive.addresses", "offramp.walk.link"),
    ("offramp.receive.inspect", "offramp.receive.survey"),
    ("offramp.receive.report", "offramp.receive.inspect"),
    ("offramp.receive.report", "offramp.receive.steer"),
    ("offramp.receive.report", "offramp.receive.sums"),
    ("offramp.receive.steer", "offramp.receive.inspect"),
    ("offramp.receive.steer", "offramp.receive.queues"),
    ("offramp.receive.steer", "offramp.receive.toeplitz"),
    ("offramp.receive.steer", "offramp.walk.addresses"),
    ("offramp.receive.sums", "offramp.receive.survey"),
    ("offramp.receive.survey", "offramp.walk.transport"),
    ("offramp.receive.survey", "offramp.walk.tunnel"),
    ("offramp.send.emit", "offramp.send.plan"),
    ("offramp.send.emit", "offramp.send.store"),
    ("offramp.send.emit", "offramp.send.template"),
    ("offramp.send.plan", "offramp.walk.sums"),
    ("offramp.send.slicer", "offramp.send.cut"),
    ("offramp.walk.extension", "offramp.walk.lookahead"),
    ("offramp.walk.extension", "offramp.walk.network"),
    ("offramp.walk.link", "offramp.walk.network"),
    ("offramp.walk.network", "offramp.walk.lookahead"),
    ("offramp.walk.tunnel", "offramp.walk.network"),
}
"""Stages that take the layout of what they get from the stage that they get it from, or consist of others."""


def hardware():
    """Return the modules that each module of the hardware imports, of the hardware's own."""
    home = ROOT / "hdl"
    modules = {".".join(path.relative_to(home).with_suffix("").parts): path for path in home.rglob("*.py")}
    return {name: imports(path, modules) & modules.keys() for name, path in modules.items()}


def test_stages_stand_on_shared_ground_only():
    """Tops import stages, stages import the ground, and never each other."""
    edges = hardware()
    assert edges.keys() >= TOPS | GROUND
    stages = {name for name in edges.keys() - TOPS - GROUND if not name.endswith("__init__")}
    assert {(name, target) for name in GROUND for target in edges[name] - GROUND} == set()
    assert {(name, target) for name in stages for target in edges[name] - GROUND} == LENT


def test_directions_do_not_know_each_other():
    """What both need is in the walk, or in the ground."""
    edges = hardware()
    for own, other in (("send", "receive"), ("receive", "send")):
        for folder in (own, "walk"):
            mine = {name for name in edges if name.startswith(f"offramp.{folder}.")}
            assert mine
            strangers = {(name, target) for name in mine for target in edges[name] if f".{other}." in target}
            assert strangers == set()
    assert not any("offramp.top" in target for name in edges for target in edges[name] if ".top." not in name)


def test_hardware_imports_in_no_circle():
    edges = hardware()
    done: set[str] = set()

    def visit(name, above):
        assert name not in above, f"circle: {' -> '.join([*above, name])}"
        if name not in done:
            for target in edges[name]:
                visit(target, [*above, name])
            done.add(name)

    for name in edges:
        visit(name, [])


def test_annotations_are_not_postponed_in_hardware():
    for path in (ROOT / "hdl").rglob("*.py"):
        assert "__future__" not in imports(path), f"{path}: postponed annotations break Amaranth's layouts"
