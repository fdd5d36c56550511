"""Fields of a workflow are spoken of as the options that they come from."""

from collections.abc import Callable
from dataclasses import MISSING, fields
from importlib import import_module

import click
import pytest
from click.testing import CliRunner

from ct_guard import workflows
from ct_guard.cli import cli
from ct_guard.cli.options import assignments, in_options, remark, resumable


def command_of(name: str) -> click.Command:
    command: click.Command = import_module(f"ct_guard.cli.{name}").command
    return command


def test_a_field_is_spelled_as_its_option_and_other_words_are_left_alone() -> None:
    options = command_of("grade").params
    said = in_options("`key_env`, `first_line` and `nonsense`: `ct-guard score`", options)
    assert said == "--key-env, --first-line/--whole-answer and `nonsense`: `ct-guard score`"
    assert in_options("`method` sampling", command_of("baseline").params) == "METHOD sampling"


@pytest.mark.parametrize("name", ["baseline", "calibrate", "certify", "evaluate", "grade", "tune"])
def test_every_field_of_a_configuration_is_an_option_with_the_same_default(name: str) -> None:
    config = getattr(workflows, f"{name.title()}Config")
    options = {option.name: option for option in command_of(name).params}
    for field in fields(config):
        option = options[field.name]
        if field.default is MISSING:
            continue
        default = option.get_default(click.Context(command_of(name)))
        unset = default is None or default == () or "UNSET" in repr(default)
        assert (None if unset else default) == (None if field.default == () else field.default)


def test_a_remark_outside_of_a_command_names_the_field(capsys: pytest.CaptureFixture[str]) -> None:
    remark("try `samples`")
    with click.Context(command_of("grade")):
        remark("try `samples`", "Note: ")
    assert capsys.readouterr().err == "! try `samples`\nNote: try --samples\n"


def test_values_by_column() -> None:
    assert assignments(["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    with pytest.raises(click.BadParameter, match="is not COLUMN=VALUE"):
        assignments(["a"])


@pytest.mark.parametrize("goes_on", [True, False])
def test_after_an_interrupt_the_way_on_is_said_where_there_is_one(
    goes_on: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    answer: Callable[[], bool] = lambda: goes_on  # noqa: E731
    with pytest.raises(KeyboardInterrupt), resumable(answer, "the last evaluation"):
        raise KeyboardInterrupt
    said = "Stopped. The same command with --resume goes on from the last evaluation.\n"
    assert capsys.readouterr().err == (said if goes_on else "")


def test_a_misspelt_command_is_told_the_nearest_one() -> None:
    near, far = (CliRunner().invoke(cli, [name, "rows.jsonl"]) for name in ("scor", "xyzzy"))
    assert "No such command 'scor'. Did you mean 'score'?" in near.output
    assert "No such command 'xyzzy'." in far.output
    assert near.exit_code == far.exit_code == 2
