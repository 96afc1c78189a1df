"""The command line as a whole."""

import click
import pytest
from offramp_sim import cli


def leaves(command, path=()):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from leaves(command.get_command(context, name), (*path, name))
    else:
        yield path, command


LEAVES = {" ".join(path): (path, command) for path, command in leaves(cli.offramp)}


@pytest.mark.parametrize(("path", "command"), LEAVES.values(), ids=LEAVES)
def test_every_command_explains_itself_with_an_example(path, command):
    assert command.help
    assert "Example" in command.help
    assert f"offramp {' '.join(path)}" in command.help
    assert command.short_help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"--{parameter.name} has no help"


def test_an_unknown_command_is_told_in_one_line(capsys):
    with pytest.raises(SystemExit) as exited:
        cli.main(["fly"])
    assert exited.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "'fly'" in line


def test_help_and_version_are_no_errors(capsys):
    for option in ("--help", "--version"):
        with pytest.raises(SystemExit) as exited:
            cli.main([option])
        assert exited.value.code == 0
        assert "offramp" in capsys.readouterr().out
