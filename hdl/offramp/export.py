"""Verilog with the port names that the rest of the world expects."""

import re

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil
from amaranth.hdl import Signal, Value
from amaranth.lib import wiring

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_TOKEN = re.compile(
    r"""
      (?P<other> "(?:\\.|[^"\\])*" | /\*.*?\*/ | //[^\n]* )
    | \\(?P<escaped> \S+ ) [ ]?
    | (?P<plain> (?<![\w$'`]) [A-Za-z_][\w$]* )
    """,
    re.VERBOSE | re.DOTALL,
)

_INTERNAL = ("generator", "top", "amaranth.hierarchy", "amaranth.decoding")

# What amaranth.back.verilog does, and two passes more. Amaranth writes an expression as often as it is used:
# with every copy, the text of a wide core is three times as long, and simulators take that much longer to
# read it. Registers stay as they are: some are doubled on purpose.
_PASSES = (
    "proc -nomux -norom",
    "memory_collect",
    "opt_expr",
    "opt_merge t:$*dff* %n",
    *(f"attrmap {of} -remove {' -remove '.join(_INTERNAL)}" for of in ("", "-modattr")),
    "write_verilog -norename",
)

_WIRE = re.compile(r"(?m)^ *wire (\[[^\]]*\] )?(__\d+);\n")
_ALIAS = re.compile(r"(?m)^ *assign (__\d+) = (__\d+);\n")

_STATEMENT = re.compile(r"(?m)^( *)always @\*\n +(.*;)$")

_WAKE = r"\$settle "  # the space ends an escaped identifier

_WAIVERS = {
    "CASEINCOMPLETE": "what a case leaves out keeps the value that it has before",
    "CMPCONST": "a width parameter may make a comparison constant",
    "DECLFILENAME": "all modules are in one file",
    "INITIALDLY": "combinational processes are woken once when simulation starts",
    "PROCASSINIT": "registers have their reset value from power-up, as the FPGA gives it to them",
    "UNSIGNED": "the same",
    "UNUSEDSIGNAL": "every field of a record has a name, whether or not it is read",
    "VARHIDDEN": "a signal may be called what an instance elsewhere is called",
    "WIDTHEXPAND": "constants are written no wider than they are",
    "WIDTHTRUNC": "! of a vector means that it is zero",
}
"""Verilator's warnings that do not apply to generated text, and why."""


def verilog(component: wiring.Component, *, name: str) -> str:
    """Convert a component to SystemVerilog.

    The path of each member of the component's signature, joined with single underscores, is the name of its
    port: ``component.s_axis_buffer.tdata`` becomes ``s_axis_buffer_tdata``. Clock and reset are ``clk`` and
    ``rst``, synchronous, active high.

    The same component always gives the same text, which has no paths, dates or user names in it and no
    identifiers that need escaping.

    Parameters
    ----------
    component : wiring.Component
        Component to convert. Its assertions become those of SystemVerilog.
    name : str
        Name of the module; those of its parts begin with it.

    Raises
    ------
    ValueError
        If ``name`` is no identifier, or if two members would share a port name.
    """
    if not IDENTIFIER.fullmatch(name):
        raise ValueError(f"name must be a Verilog identifier, not {name!r}")
    design = rtlil.convert(component, name=name, ports=_ports(component), emit_src=False)
    script = "\n".join([f"read_rtlil <<design\n{design}\ndesign", *_PASSES])
    yosys = find_yosys(lambda version: version >= (0, 40))  # the one that Amaranth itself would take
    text = yosys.run(["-q", "-"], script, ignore_warnings=True)
    waivers = "".join(f"/* verilator lint_off {rule} */ // {why}\n" for rule, why in _WAIVERS.items())
    modules = _modules(_plain_identifiers(_settled(text)))
    body = "".join(map(_without_aliases, modules)).strip()
    return f"/* verilator lint_save */\n{waivers}\n{body}\n\n/* verilator lint_restore */\n"


def _ports(component: wiring.Component) -> dict[str, tuple[Signal, None]]:
    paths: dict[str, str] = {"clk": "the clock", "rst": "the reset"}
    ports: dict[str, tuple[Signal, None]] = {}
    for path, _, member in component.signature.flatten(component):
        port = "_".join(map(str, path))
        spelled = ".".join(map(str, path))
        if port in paths:
            raise ValueError(f"{spelled} and {paths[port]} would share the port name {port}")
        signal = Value.cast(member)
        if not isinstance(signal, Signal):
            raise TypeError(f"{spelled} is no signal and cannot be a port")
        paths[port] = spelled
        ports[port] = (signal, None)
    return ports


def _settled(text: str) -> str:
    """Have every combinational process run when simulation starts.

    Yosys gives a process a variable to look at, set where it is declared. A simulator may do that before the
    process waits for a change (Icarus does), and Yosys forgets it where the process is a single statement.
    What depends on constants only then stays undefined. A nonblocking assignment comes late enough.
    """
    text = re.sub(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ", _WAKE, text)
    return "".join(map(_woken, _modules(text)))


def _modules(text: str) -> list[str]:
    """Divide a text in front of each of its modules."""
    return re.split(r"(?m)(?=^module )", text)


def _without_aliases(module: str) -> str:
    """Have one name for wires without a name of their own that are assigned to each other.

    That is what is left of expressions that Yosys has found to be the same.
    """
    width = {name: bits for bits, name in _WIRE.findall(module)}
    same = {
        name: other
        for name, other in _ALIAS.findall(module)
        if name in width and other in width and width[name] == width[other]
    }

    def original(name: str) -> str:
        while name in same:
            name = same[name]
        return name

    module = _WIRE.sub(lambda wire: "" if wire[2] in same else wire[0], module)
    module = _ALIAS.sub(lambda alias: "" if alias[1] in same else alias[0], module)
    return re.sub(r"\b__\d+\b", lambda name: original(name[0]), module)


def _woken(module: str) -> str:
    module = re.sub(rf"(?m)^ *reg {re.escape(_WAKE)} = 0;\n", "", module)
    module = _STATEMENT.sub(rf"\1always @* begin\n\1  if ({_WAKE}) begin end\n\1  \2\n\1end", module)
    if _WAKE not in module:
        return module
    head, body = module.split(";\n", maxsplit=1)
    return f"{head};\n  reg {_WAKE} = 0;\n  initial {_WAKE} <= 1;\n{body}"


def _plain_identifiers(text: str) -> str:
    """Spell escaped identifiers without the escape.

    ``\\frame.data[3]`` is legal, but tools that write and read back a name like that confuse it with bit 3
    of something else (the technology mapper of Yosys 0.70 does).
    """
    taken = {match["plain"] for match in _TOKEN.finditer(text) if match["plain"]}
    renamed: dict[str, str] = {}

    def spell(match: re.Match[str]) -> str:
        escaped = match["escaped"]
        if escaped is None:
            return match[0]
        if escaped not in renamed:
            # Two underscores, because keywords have none.
            stem = re.sub(r"\W+", "__", escaped).rstrip("_")
            stem = f"{stem}__" if stem == escaped else stem
            spelling = stem
            number = 1
            while spelling in taken:
                number += 1
                spelling = f"{stem}__{number}"
            taken.add(spelling)
            renamed[escaped] = spelling
        return renamed[escaped]

    return _TOKEN.sub(spell, text)
