"""What can be set, from where, and how every fault is named: the guard at the door of every bus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driven.configuration import load_settings, validate
from driven.errors import SettingsError
from driven.placement import Placement
from driven.settings import (
    BusSettings,
    CommandSettings,
    GroupSettings,
    HttpSettings,
    Settings,
    StoreSettings,
    WorkerSettings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

EVERYTHING = """
[bus]
ordering = "strict"
max_pending = 10_000
max_hops = 8
max_descendants = 5
drain_timeout_s = 1
retries = 0
[store]
url = "memory://"
[workers]
count = 4
kind = "processes"
ring_bytes = 65_536
max_attempts = 2
start_timeout_s = 10.5
stop_timeout_s = 0
blas_threads = 2
[workers.groups.default]
cpus = [0, 1]
[workers.groups.pricing]
count = 2
cpus = [2, 3]
[commands."census.MeasureFile"]
placement = "auto"
[commands.PriceBook]
placement = "worker"
group = "pricing"
sticky = true
timeout_s = 30
max_attempts = 2
"""

EVERYTHING_IN_CODE = Settings(
    bus=BusSettings(
        ordering="strict", max_pending=10_000, max_hops=8, max_descendants=5, drain_timeout_s=1.0, retries=0
    ),
    store=StoreSettings(url="memory://"),
    workers=WorkerSettings(
        count=4,
        kind="processes",
        ring_bytes=65_536,
        max_attempts=2,
        start_timeout_s=10.5,
        stop_timeout_s=0.0,
        blas_threads=2,
        groups={"default": GroupSettings(cpus=(0, 1)), "pricing": GroupSettings(count=2, cpus=(2, 3))},
    ),
    commands={
        "census.MeasureFile": CommandSettings(placement=Placement.AUTO),
        "PriceBook": CommandSettings(
            placement=Placement.WORKER, group="pricing", sticky=True, timeout_s=30.0, max_attempts=2
        ),
    },
)


def loaded(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    """Load settings from a file with this text."""
    path = folder / "census.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path, environ=environ or {})


def faults(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the faults of a file with this text, one at least."""
    with pytest.raises(SettingsError) as raised:
        loaded(folder, text, environ)
    return raised.value.faults


def test_every_setting_can_stand_in_the_file(tmp_path: Path) -> None:
    """docs/reference/settings.md: settings come from TOML, complete, with their types."""
    assert loaded(tmp_path, EVERYTHING) == EVERYTHING_IN_CODE


def test_what_is_not_set_has_its_default(tmp_path: Path) -> None:
    """docs/reference/settings.md: an empty file is a valid one."""
    assert loaded(tmp_path, "") == Settings()


def test_defaults_are_those_of_the_laws() -> None:
    """F5: 64 hops and 1,000,000 descendants; strict order; workers as the machine allows."""
    settings = Settings()

    assert (settings.bus.max_hops, settings.bus.max_descendants) == (64, 1_000_000)
    assert (settings.bus.ordering, settings.workers.count) == ("strict", "auto")
    assert validate(settings) == []


def test_without_a_path_the_file_of_the_current_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/reference/settings.md: driven.toml is found where the program starts."""
    monkeypatch.chdir(tmp_path)
    Path("driven.toml").write_text("[workers]\ncount = 3\n", encoding="utf-8")

    assert load_settings(environ={}).workers.count == 3


def test_without_any_file_there_are_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/reference/settings.md: no configuration is needed to begin."""
    monkeypatch.chdir(tmp_path)

    assert load_settings(environ={}) == Settings()


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    """Settings: a wrong path is a fault, never silence."""
    with pytest.raises(SettingsError, match="there is no such file; create it, or name another") as raised:
        load_settings(tmp_path / "census.toml", environ={})

    assert raised.value.source == str(tmp_path / "census.toml")


def test_a_folder_instead_of_a_file_is_a_fault(tmp_path: Path) -> None:
    """Settings: a file that cannot be read is a fault, with the reason."""
    with pytest.raises(SettingsError, match="it cannot be read"):
        load_settings(tmp_path, environ={})


def test_a_file_in_another_encoding_is_a_fault(tmp_path: Path) -> None:
    """Settings: TOML is UTF-8."""
    path = tmp_path / "census.toml"
    path.write_bytes(b"a = '\xff'")

    with pytest.raises(SettingsError, match="byte 5 is not UTF-8; save the file as UTF-8"):
        load_settings(path, environ={})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[bus]\nretries = = 2\n", 2),
        ("[bus]\n\n[bus]\n", 3),
        ("[bus", 1),
        ("\n\nname = '", 3),
        (f"a = {'9' * 5000}", None),
    ],
    ids=["syntax", "section twice", "end of the document", "open text", "endless number"],
)
def test_broken_toml_is_a_fault_with_its_line(text: str, line: int | None, tmp_path: Path) -> None:
    """Settings: the reader is led to the line."""
    (fault,) = faults(tmp_path, text)

    assert fault.startswith("it is not TOML: ")
    assert line is None or f"at line {line}" in fault


FAULTS = {
    "misspelt key": (
        "[workers]\ncuont = 4",
        (
            "[workers] cuont is not a setting; did you mean count? ([workers] has: blas_threads, count, grace_s, "
            "groups, heartbeat_timeout_s, idle_timeout_s, kind, max_attempts, max_count, memory_limit_bytes, "
            "min_count, recycle_after_commands, recycle_after_growth_bytes, ring_bytes, start_timeout_s, "
            "stop_timeout_s)"
        ),
    ),
    "fewest above most": (
        "[workers]\nmin_count = 5\nmax_count = 4",
        "[workers] min_count = 5 is more than max_count = 4; give at most 4, or raise that",
    ),
    "capital key": (
        "[store]\nURL = 'memory://'",
        "[store] URL is not a setting; did you mean url? ([store] has: durability, url)",
    ),
    "unknown key": (
        "[store]\npassword = 'x'",
        "[store] password is not a setting; remove it ([store] has: durability, url)",
    ),
    "misspelt section": (
        "[worker]\ncount = 4",
        "[worker] is not a section; did you mean workers? (the sections are: bus, commands, http, store, workers)",
    ),
    "setting outside of sections": (
        "max_pending = 4",
        "[max_pending] is not a section; remove it (the sections are: bus, commands, http, store, workers)",
    ),
    "misspelt key of a group": (
        "[workers.groups.pricing]\ncount = 2\ncpu = [1]",
        "[workers.groups.pricing] cpu is not a setting; did you mean cpus? ([workers.groups.pricing] has: count, cpus",
    ),
    "misspelt key of a command": (
        '[commands."census.MeasureFile"]\ntimeout = 3',
        (
            '[commands."census.MeasureFile"] timeout is not a setting; did you mean timeout_s? '
            '([commands."census.MeasureFile"] has: detached, group, max_attempts, placement, sticky, timeout_s)'
        ),
    ),
    "full name without quotes": (
        "[commands.census.MeasureFile]\nsticky = true",
        (
            "[commands.census] MeasureFile is not a setting; a full message name stands in quotes: "
            '[commands."census.MeasureFile"]'
        ),
    ),
    "no table": ("bus = 3", "[bus] is 3, not a table; write its settings under [bus]"),
    "no table of groups": (
        "[workers]\ngroups = 3",
        "[workers.groups] is 3, not a table; write its settings under [workers.groups]",
    ),
    "no table of a command": (
        "[commands]\nPriceBook = 'worker'",
        '[commands.PriceBook] is "worker", not a table; write its settings under [commands.PriceBook]',
    ),
    "wrong type": ('[bus]\nretries = "2"', '[bus] retries = "2" is not valid; give a whole number of at least 0'),
    "truth for a number": (
        "[bus]\nretries = true",
        "[bus] retries = true is not valid; give a whole number of at least 0",
    ),
    "number for truth": ("[commands.A]\nsticky = 1", "[commands.A] sticky = 1 is not valid; give true or false"),
    "date": ("[bus]\nretries = 2020-01-01", "[bus] retries = datetime.date(2020, 1, 1) is not valid"),
    "a long text": (f"[bus]\nretries = '{'x' * 200}'", f'[bus] retries = "{"x" * 80}..." is not valid'),
    "a long number": (f"[workers]\nring_bytes = 0x{'f' * 9000}", "ring_bytes = a number of thousands of digits is not"),
    "max_pending": ("[bus]\nmax_pending = 0", "[bus] max_pending = 0 is not valid; give a whole number of at least 1"),
    "max_hops": ("[bus]\nmax_hops = 0", "[bus] max_hops = 0 is not valid; give a whole number of at least 1"),
    "max_descendants": ("[bus]\nmax_descendants = 0", "[bus] max_descendants = 0 is not valid; give a whole number"),
    "drain_timeout_s": (
        "[bus]\ndrain_timeout_s = -1",
        "[bus] drain_timeout_s = -1 is not valid; give a number of seconds from 0 to 31,536,000 (a year)",
    ),
    "longer than a year": (
        "[bus]\ndrain_timeout_s = 31_536_001",
        "[bus] drain_timeout_s = 31536001 is not valid; give",
    ),
    "longer in a command": (
        "[commands.A]\ntimeout_s = 31_536_001",
        "[commands.A] timeout_s = 31536001 is not valid; give",
    ),
    "not a number": ("[bus]\ndrain_timeout_s = nan", "[bus] drain_timeout_s = nan is not valid; give a number of"),
    "unheard of order": ('[bus]\nordering = "x"', '[bus] ordering = "x" is not valid; give "strict" or "keyed"'),
    "store": (
        '[store]\nurl = "postgresql://user:secret@host/census"',
        '[store] url = "postgresql://..." is not a store of this version; give "memory://" or "sqlite:///"',
    ),
    "store with a place": (
        '[store]\nurl = "memory://x"',
        '[store] url = "memory://..." is not a store of this version',
    ),
    "store without a scheme": ('[store]\nurl = ""', '[store] url = "" is not a store of this version'),
    "store that is the name of a file": (
        '[store]\nurl = "shop.db"',
        '"sqlite:///" and the path of a file, for a file of that name sqlite:///shop.db',
    ),
    "count": (
        "[workers]\ncount = -1",
        '[workers] count = -1 is not valid; give "auto" or a whole number from 0 to 1024',
    ),
    "count in words": (
        "[workers]\ncount = 'all'",
        '[workers] count = "all" is not valid; give "auto" or a whole number',
    ),
    "kind in other words": (
        '[workers]\nkind = "fibers"',
        '[workers] kind = "fibers" is not valid; give "auto", "processes" or "threads"',
    ),
    "no power of two": (
        "[workers]\nring_bytes = 5000",
        "[workers] ring_bytes = 5000 is not a power of two; give 4096 or 8192",
    ),
    "small ring": (
        "[workers]\nring_bytes = 2048",
        "[workers] ring_bytes = 2048 is not valid; give a power of two from 4096 to 1073741824",
    ),
    "huge ring": ("[workers]\nring_bytes = 2147483648", "[workers] ring_bytes = 2147483648 is not valid; give a power"),
    "max_attempts": ("[workers]\nmax_attempts = 0", "[workers] max_attempts = 0 is not valid; give a whole number of"),
    "start_timeout_s": (
        "[workers]\nstart_timeout_s = 0",
        "[workers] start_timeout_s = 0 is not valid; give a number of",
    ),
    "endless": (
        "[workers]\nstop_timeout_s = inf",
        "[workers] stop_timeout_s = inf is not valid; give a number of seconds",
    ),
    "blas_threads": ("[workers]\nblas_threads = 0", "[workers] blas_threads = 0 is not valid; give a whole number of"),
    "group of none": (
        "[workers.groups.pricing]\ncpus = [1]",
        "[workers.groups.pricing] count = 0 is not valid: a group has workers; give a whole number from 1 to 1024",
    ),
    "group of less": (
        "[workers.groups.pricing]\ncount = -2",
        "[workers.groups.pricing] count = -2 is not valid; give a whole number from 1 to 1024",
    ),
    "count of the default group": (
        "[workers.groups.default]\ncount = 2",
        (
            "[workers.groups.default] count = 2 is not valid: this group has [workers] count workers; "
            "give their number there"
        ),
    ),
    "negative cpu": (
        "[workers.groups.default]\ncpus = [0, -1]",
        "[workers.groups.default] cpus = [0, -1] is not valid; give a list of different CPU numbers, each at least 0",
    ),
    "word for cpus": (
        "[workers.groups.default]\ncpus = 'numa'",
        '[workers.groups.default] cpus = "numa" is not valid; give a list of different CPU numbers, each',
    ),
    "cpu twice": (
        "[workers.groups.default]\ncpus = [1, 2, 1]",
        "[workers.groups.default] cpus = [1, 2, 1] names a CPU twice; give each one once",
    ),
    "placement": (
        "[commands.PriceBook]\nplacement = 'wrker'",
        '[commands.PriceBook] placement = "wrker" is not valid; give "inline", "worker" or "auto"',
    ),
    "misspelt group": (
        "[workers.groups.pricing]\ncount = 1\n[commands.PriceBook]\ngroup = 'prcing'",
        '[commands.PriceBook] group = "prcing" is not a group; did you mean pricing? (the groups are: ',
    ),
    "missing group": (
        "[commands.PriceBook]\ngroup = 'x y'",
        '[commands.PriceBook] group = "x y" is not a group; add [workers.groups."x y"] (the groups are: default)',
    ),
    "timeout of a command": (
        "[commands.A]\ntimeout_s = 0",
        "[commands.A] timeout_s = 0 is not valid; give a number of",
    ),
    "attempts of a command": ("[commands.A]\nmax_attempts = 0", "[commands.A] max_attempts = 0 is not valid; give a"),
    "one command twice": (
        '[commands."census.A"]\nsticky = true\n[commands.A]\nsticky = false',
        '[commands."census.A"] and [commands.A] may name the same command; keep one of the two',
    ),
}


@pytest.mark.parametrize(("text", "fault"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_names_section_key_value_and_remedy(text: str, fault: str, tmp_path: Path) -> None:
    """Settings: each fault is named once, with what to do about it."""
    (found,) = faults(tmp_path, text)

    assert fault in found


def test_all_faults_are_listed_at_once_under_the_name_of_the_file(tmp_path: Path) -> None:
    """Settings: one look at the message is enough to correct everything, wherever it stands."""
    text = "[bus]\nmax_hops = 0\n[workers]\ncuont = 1\nring_bytes = 5000\n[commands.A]\ngroup = 'b'\ntimeout_s = 'c'\n"

    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, text, {"DRIVEN_BUS_RETRIES": "d", "DRIVEN_STORE_ULR": "e"})

    assert [fault.split(" =")[0].split(" is")[0] for fault in raised.value.faults] == [
        "DRIVEN_STORE_ULR",
        "[bus] max_hops",
        "DRIVEN_BUS_RETRIES",
        "[workers] cuont",
        "[commands.A] timeout_s",
        "[workers] ring_bytes",
        "[commands.A] group",
    ]
    assert str(raised.value).startswith(f"configuration {tmp_path / 'census.toml'} is not valid: 7 faults")


def test_the_password_in_the_url_of_a_store_is_not_shown(tmp_path: Path) -> None:
    """Settings: error messages end up in logs."""
    (fault,) = faults(tmp_path, "", {"DRIVEN_STORE_URL": "postgresql://user:secret@host/census"})

    assert "secret" not in fault


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    """docs/reference/settings.md: the environment overrides single settings of the file."""
    environ = {"DRIVEN_WORKERS_COUNT": "4", "DRIVEN_BUS_DRAIN_TIMEOUT_S": "0.5", "DRIVEN_WORKERS_KIND": "auto"}

    settings = loaded(tmp_path, "[workers]\ncount = 1\nmax_attempts = 7\n", environ)

    assert settings == Settings(
        bus=BusSettings(drain_timeout_s=0.5), workers=WorkerSettings(count=4, kind="auto", max_attempts=7)
    )


def test_a_variable_can_set_a_count_to_auto(tmp_path: Path) -> None:
    """docs/reference/settings.md: words and numbers are told apart in the environment as well."""
    assert loaded(tmp_path, "[workers]\ncount = 1", {"DRIVEN_WORKERS_COUNT": "auto"}).workers.count == "auto"


NAMED = {
    "short name of a command": ({"DRIVEN_COMMANDS_PRICEBOOK_GROUP": "pricing"}, ("shop.PriceBook", "group", "pricing")),
    "full name of a command": (
        {"DRIVEN_COMMANDS_SHOP_PRICEBOOK_TIMEOUT_S": "2.5"},
        ("shop.PriceBook", "timeout_s", 2.5),
    ),
    "a value of the file is overridden": (
        {"DRIVEN_COMMANDS_PRICEBOOK_STICKY": "false"},
        ("shop.PriceBook", "sticky", False),
    ),
    "a command that the file does not name": (
        {"DRIVEN_COMMANDS_SORT_PLACEMENT": "worker"},
        ("SORT", "placement", Placement.WORKER),
    ),
}


@pytest.mark.parametrize(("environ", "told"), NAMED.values(), ids=NAMED.keys())
def test_a_variable_can_name_a_command(environ: dict[str, str], told: tuple[str, str, Any], tmp_path: Path) -> None:
    """docs/reference/settings.md: whatever the letters, the section of the file that is meant gets the value."""
    name, key, value = told
    text = '[workers.groups.pricing]\ncount = 1\n[commands."shop.PriceBook"]\nsticky = true\n'

    commands = loaded(tmp_path, text, environ).commands

    assert getattr(commands[name], key) == value
    assert len(commands) == len({"shop.PriceBook", name})


def test_a_variable_can_name_a_group(tmp_path: Path) -> None:
    """docs/reference/settings.md: an existing group in whatever letters, and a new one in small letters."""
    environ = {
        "DRIVEN_WORKERS_GROUPS_PRICE_LIST_CPUS": "2, 3",
        "DRIVEN_WORKERS_GROUPS_REPORTS_COUNT": "3",
        "DRIVEN_WORKERS_GROUPS_REPORTS_CPUS": "numa:1",
        "DRIVEN_WORKERS_GROUPS_REPORTS_EXCLUSIVE": "true",
    }

    groups = loaded(tmp_path, '[workers.groups."Price-List"]\ncount = 1', environ).workers.groups

    assert groups == {
        "Price-List": GroupSettings(count=1, cpus=(2, 3)),
        "reports": GroupSettings(count=3, cpus="numa:1", exclusive=True),
    }


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    """P9: DRIVEN_CPUS belongs to the count of CPUs; what does not begin like a section of ours is not ours."""
    environ = {"DRIVEN_CPUS": "x", "DRIVEN_HOME": "x", "driven_bus_x": "x", "WORKERS_COUNT": "x"}

    assert loaded(tmp_path, "", environ) == Settings()


VARIABLE_FAULTS = {
    "misspelt": (
        "DRIVEN_STORE_ULR",
        "x",
        (
            "DRIVEN_STORE_ULR is not a setting of the environment; did you mean DRIVEN_STORE_URL? "
            "(there are: DRIVEN_STORE_DURABILITY, DRIVEN_STORE_URL)"
        ),
    ),
    "unknown": (
        "DRIVEN_STORE_PASSWORD",
        "x",
        "DRIVEN_STORE_PASSWORD is not a setting of the environment; unset it (there",
    ),
    "a table": (
        "DRIVEN_WORKERS_GROUPS",
        "x",
        "DRIVEN_WORKERS_GROUPS is not a setting of the environment; unset it (there",
    ),
    "no key of a command": (
        "DRIVEN_COMMANDS_PRICEBOOK",
        "x",
        "DRIVEN_COMMANDS_PRICEBOOK is not a setting of the environment; give DRIVEN_COMMANDS_<NAME>_<KEY> (the",
    ),
    "wrong cpus of a group": (
        "DRIVEN_WORKERS_GROUPS_DEFAULT_CPUS",
        "two",
        'DRIVEN_WORKERS_GROUPS_DEFAULT_CPUS = "two" is not valid; give a list of different CPU numbers',
    ),
    "lower case": (
        "DRIVEN_BUS_retries",
        "1",
        (
            "DRIVEN_BUS_retries is not a setting of the environment; did you mean DRIVEN_BUS_RETRIES? (there are: "
            "DRIVEN_BUS_CPU, DRIVEN_BUS_DRAIN_TIMEOUT_S, DRIVEN_BUS_MAX_DESCENDANTS, DRIVEN_BUS_MAX_HOPS, "
            "DRIVEN_BUS_MAX_PENDING, DRIVEN_BUS_ORDERING, DRIVEN_BUS_RETRIES)"
        ),
    ),
    "wrong type": (
        "DRIVEN_BUS_RETRIES",
        "x",
        'DRIVEN_BUS_RETRIES = "x" is not valid; give a whole number of at least 0',
    ),
    "empty": ("DRIVEN_WORKERS_COUNT", "", 'DRIVEN_WORKERS_COUNT = "" is not valid; give "auto" or a whole number'),
    "out of range": ("DRIVEN_BUS_MAX_PENDING", "0", 'DRIVEN_BUS_MAX_PENDING = "0" is not valid; give a whole number'),
    "endless": ("DRIVEN_BUS_DRAIN_TIMEOUT_S", "inf", 'DRIVEN_BUS_DRAIN_TIMEOUT_S = "inf" is not valid; give a number'),
    "no order": ("DRIVEN_BUS_ORDERING", "none", 'DRIVEN_BUS_ORDERING = "none" is not valid; give "strict" or "keyed"'),
    "no power of two": (
        "DRIVEN_WORKERS_RING_BYTES",
        "5000",
        "DRIVEN_WORKERS_RING_BYTES = 5000 is not a power of two; give 4096 or 8192",
    ),
}


@pytest.mark.parametrize(("variable", "value", "fault"), VARIABLE_FAULTS.values(), ids=VARIABLE_FAULTS.keys())
def test_a_fault_of_the_environment_names_the_variable(
    variable: str, value: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings: a wrong variable is looked for in the environment, so it is named as it stands there."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingsError) as raised:
        load_settings(environ={variable: value})

    assert raised.value.source == "from the environment"
    assert len(raised.value.faults) == 1
    assert raised.value.faults[0].startswith(fault)


def test_the_environment_cannot_repair_a_section_that_is_no_table(tmp_path: Path) -> None:
    """Settings: a fault of the file is named even where a variable would cover it."""
    assert faults(tmp_path, "bus = 3", {"DRIVEN_BUS_RETRIES": "1"}) == (
        "[bus] is 3, not a table; write its settings under [bus]",
    )


def test_the_process_environment_is_read_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/reference/settings.md: load_settings() alone is all that a program needs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIVEN_WORKERS_COUNT", "0")

    assert load_settings().workers.count == 0


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        (Settings(bus=BusSettings(max_hops=0)), "[bus] max_hops = 0 is not valid; give a whole number of at least 1"),
        (Settings(workers=WorkerSettings(ring_bytes=5000)), "[workers] ring_bytes = 5000 is not a power of two"),
        (Settings(workers=WorkerSettings(groups={"a": GroupSettings()})), "[workers.groups.a] count = 0 is not valid"),
        (Settings(commands={"A": CommandSettings(group="b")}), '[commands.A] group = "b" is not a group'),
        (Settings(bus=BusSettings(ordering="none")), 'give "strict" or "keyed"'),  # type: ignore[arg-type]
        (Settings(bus=3), "[bus] is 3, not a table"),  # type: ignore[arg-type]
        (
            Settings(commands={"A": CommandSettings(placement="worker")}),  # type: ignore[arg-type]
            "(in code: Placement.INLINE, WORKER or AUTO)",
        ),
    ],
)
def test_settings_made_in_code_are_checked_in_the_same_way(settings: Settings, fault: str) -> None:
    """Settings: wherever they come from, wrong ones never reach a bus."""
    (found,) = validate(settings)

    assert fault in found


def test_settings_made_in_code_are_valid_when_those_of_a_file_are() -> None:
    """Settings: validate() finds no fault in what a file may say."""
    assert validate(EVERYTHING_IN_CODE) == []


def plain_fields(kind: type[msgspec.Struct]) -> Iterable[msgspec.structs.FieldInfo]:
    """List the settings of a section that are neither tables nor sections."""
    return (field for field in msgspec.structs.fields(kind) if not str(field.type).startswith("dict["))


@pytest.mark.parametrize(
    ("kind", "within"),
    [
        (BusSettings, lambda bus: Settings(bus=bus)),
        (StoreSettings, lambda store: Settings(store=store)),
        (WorkerSettings, lambda workers: Settings(workers=workers)),
        (GroupSettings, lambda group: Settings(workers=WorkerSettings(groups={"a": group}))),
        (CommandSettings, lambda command: Settings(commands={"A": command})),
    ],
)
def test_every_setting_says_what_it_allows(kind: type[msgspec.Struct], within: Callable[[Any], Settings]) -> None:
    """Settings: a message about a wrong value ends in the remedy, for every setting there is."""
    nonsense = {field.name: object() for field in plain_fields(kind)}

    found = validate(within(kind(**nonsense)))

    assert len(found) == len(nonsense)
    assert all(fault.partition("; give ")[2] for fault in found)


COUNTS = st.integers(1, 2**40)
SECONDS = st.floats(0.001, 31_536_000)
NAMES = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=8)
CPUS = st.lists(st.integers(0, 500), unique=True, max_size=5).map(tuple)
GROUPS = st.dictionaries(
    NAMES.filter(lambda name: name != "default"),
    st.builds(
        GroupSettings,
        count=st.integers(1, 1024),
        cpus=CPUS | st.sampled_from(["others", "numa:0", "numa:12"]),
        exclusive=st.booleans(),
        memory_limit_bytes=st.none() | st.integers(0, 1 << 40),
    ),
    max_size=3,
)
BUSES = st.builds(
    BusSettings,
    max_pending=COUNTS,
    max_hops=COUNTS,
    max_descendants=COUNTS,
    cpu=st.none() | st.integers(0, 500),
    drain_timeout_s=SECONDS,
    retries=st.integers(0, 9),
)
WORKERS = st.builds(
    WorkerSettings,
    count=st.just("auto") | st.integers(0, 99),
    min_count=st.integers(1, 9),
    max_count=st.just("auto") | st.integers(9, 1024),
    idle_timeout_s=SECONDS,
    kind=st.sampled_from(["auto", "processes", "threads"]),
    ring_bytes=st.integers(12, 30).map(lambda exponent: 1 << exponent),
    max_attempts=COUNTS,
    start_timeout_s=SECONDS,
    stop_timeout_s=SECONDS,
    blas_threads=COUNTS,
    groups=GROUPS,
)


@st.composite
def settings(draw: st.DrawFn) -> Settings:
    """Draw any valid settings: groups are named by commands, and no short name stands beside a full one."""
    workers = draw(WORKERS)
    commands = st.builds(
        CommandSettings,
        placement=st.none() | st.sampled_from(Placement),
        group=st.none() | st.sampled_from(["default", *workers.groups]),
        sticky=st.none() | st.booleans(),
        timeout_s=st.none() | SECONDS,
        max_attempts=st.none() | COUNTS,
    )
    names = NAMES.filter(lambda name: "." not in name)
    return Settings(bus=draw(BUSES), workers=workers, commands=draw(st.dictionaries(names, commands, max_size=3)))


def toml(value: Any) -> str:  # noqa: ANN401 - any setting
    """Write a setting as TOML does, tables in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(name)} = {toml(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(entry) for entry in value) + "]"
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
    return str(value).lower()


def without_unset(value: Any) -> Any:  # noqa: ANN401 - any setting
    """Leave out what is None, at any depth: TOML has no word for it."""
    if not isinstance(value, dict):
        return value
    return {name: without_unset(entry) for name, entry in value.items() if entry is not None}


@given(settings())
def test_settings_written_as_toml_are_read_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, written: Settings
) -> None:
    """docs/reference/settings.md: whatever is valid in code can stand in a file, and means the same."""
    sections = without_unset(msgspec.to_builtins(written))
    text = "".join(f"{name} = {toml(section)}\n" for name, section in sections.items())

    assert validate(written) == []
    assert loaded(tmp_path_factory.mktemp("settings"), text) == written


@given(BUSES, WORKERS)
def test_settings_written_as_variables_are_read_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, bus: BusSettings, workers: WorkerSettings
) -> None:
    """docs/reference/settings.md: plain settings can stand in the environment as well, and mean the same."""
    written = Settings(bus=bus, workers=msgspec.structs.replace(workers, groups={}))
    environ = {
        f"DRIVEN_{section.upper()}_{field.name.upper()}": str(getattr(getattr(written, section), field.name))
        for section, kind in (("bus", BusSettings), ("store", StoreSettings), ("workers", WorkerSettings))
        for field in plain_fields(kind)
        if getattr(getattr(written, section), field.name) is not None
    }

    assert loaded(tmp_path_factory.mktemp("settings"), "", environ) == written


JUNK = st.recursive(
    st.booleans() | st.integers() | st.floats() | NAMES | st.sampled_from(["auto", "keyed", "worker"]),
    lambda inner: st.dictionaries(
        st.sampled_from(["bus", "store", "url", "workers", "count", "cpus", "groups", "default", "a.b", "b", "group"]),
        inner | st.lists(inner, max_size=3),
        max_size=4,
    ),
    max_leaves=12,
)


def answer(folder: Path, text: str) -> Settings | SettingsError:
    """Return what the file with this text is read as."""
    try:
        return loaded(folder, text)
    except SettingsError as error:
        return error


@given(st.dictionaries(st.sampled_from(["bus", "store", "workers", "commands", "x"]), JUNK))
def test_no_junk_raises_anything_but_settings_errors(
    tmp_path_factory: pytest.TempPathFactory, junk: dict[str, Any]
) -> None:
    """Settings: any TOML is either valid or a list of faults."""
    text = "".join(f"{name} = {toml(section)}\n" for name, section in junk.items())

    read = answer(tmp_path_factory.mktemp("settings"), text)

    assert "it is not TOML" not in str(read)
    assert isinstance(read, SettingsError) or validate(read) == []


@pytest.mark.parametrize(
    "variables",
    [
        {"DRIVEN_HTTP_TOKEN": "hunter two"},
        {"DRIVEN_HTTP_TOKEN": "hunter\u20ac"},
        {"DRIVEN_HTTP_RECEIPT_SECRET": "hunter"},
    ],
)
def test_a_secret_that_cannot_be_one_is_named_and_not_shown(tmp_path: Path, variables: dict[str, str]) -> None:
    """No request could ever carry it, or anybody could guess it."""
    (fault,) = faults(tmp_path, "", variables)

    assert fault.startswith(f"{next(iter(variables))} = ... is not valid; give ")
    assert "hunter" not in fault


def test_settings_show_no_secret() -> None:
    """They are printed into logs, and into what tests say."""
    http = HttpSettings(token="hunter2", receipt_secret="hunter2hunter2hunter2", port=1)  # noqa: S106 - opens nothing
    shown = repr(Settings(http=http))

    assert "hunter2" not in shown
    assert "port=1" in shown
