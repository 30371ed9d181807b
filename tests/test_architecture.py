"""The shape of the house, held by test: who may import whom, one name per concept, nothing undeclared."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import domain
from domain.base import Aggregate

ROOT = Path(__file__).parent.parent
OURS = {"domain", "commands", "projections", "queries", "tracker_edge", "runtime"}
MAY_IMPORT = {
    "domain": set[str](),
    "commands": {"domain", "runtime"},
    "projections": {"domain", "runtime"},
    "queries": {"domain", "runtime"},
    "tracker_edge": {"domain", "runtime"},
    "runtime": set[str](),
}
#: What `runtime` may know of the domain: the words every event is made of, no torrent.
RUNTIME_KNOWS = {"domain.base", "domain.errors"}
#: They put the parts together, so they see all of them.
COMPOSITION_ROOTS = {"api.py", "edge.py", "site.py"}
CLI = ROOT / "runtime" / "cli" / "main.py"
#: Folders that are.
COMPOSITION_ROOT_FOLDERS = {"demo", "worker"}
NAMELESS = {"utils", "helpers", "common", "manager", "misc", "core", "base2"}
#: Modules whose feature is written or decided by a module of another name.
COMMANDS_WITHOUT_AGGREGATE = {"auth", "default_data"}


def modules(package: str) -> list[Path]:
    return sorted(p for p in (ROOT / package).rglob("*.py") if p.name != "__init__.py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_imports_go_one_way(package: str) -> None:
    """A read model that calls a command, or a domain that knows a driver, is a knot nobody can untie later."""
    wrong = []
    for path in (ROOT / package).rglob("*.py"):
        is_root = path.name in COMPOSITION_ROOTS and path.parent.name == "runtime" or path == CLI
        if package == "runtime" and (is_root or path.parent.name in COMPOSITION_ROOT_FOLDERS):
            continue
        allowed = MAY_IMPORT[package] | {package}
        for line, name in imports(path):
            top = name.partition(".")[0]
            known = package == "runtime" and (name in RUNTIME_KNOWS or name == "domain.base")
            if top in OURS and top not in allowed and not known:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert wrong == []


def test_the_domain_has_no_clock_no_chance_and_no_driver() -> None:
    """A rule that reads the clock cannot be replayed (house trap T5)."""
    forbidden = {"random", "secrets", "socket", "psycopg", "redis", "fastapi", "dramatiq", "os", "time", "pathlib"}
    wrong = [f"{p.name}: {n}" for p in modules("domain") for _, n in imports(p) if n.partition(".")[0] in forbidden]
    calls = re.compile(r"\b(datetime\.(now|utcnow|today)|uuid4|uuid1|time\.time)\(")
    wrong += [f"{p.name}: {m.group()}" for p in modules("domain") for m in calls.finditer(p.read_text())]
    assert wrong == []


def test_projections_have_no_clock_and_no_chance() -> None:
    """A rebuilt table would differ from the live one."""
    forbidden = re.compile(r"\b(datetime\.now|uuid4|random\.|time\.time|now\(\)|clock_timestamp|gen_random_uuid)")
    wrong = [f"{p.name}: {m.group()}" for p in modules("projections") for m in forbidden.finditer(p.read_text())]
    assert wrong == []


def test_sql_stands_in_projections_queries_and_runtime_only() -> None:
    """A command that asks a read table decides on yesterday's truth (house trap T19)."""
    sql = re.compile(r"\b(FROM|INTO|UPDATE|JOIN)\s+read\.")
    wrong = [p.name for p in modules("commands") + modules("domain") if sql.search(p.read_text())]
    assert wrong == []


def test_queries_read_as_the_role_that_sees_no_secret() -> None:
    """Where they need one they say so in the route (`CredentialsDb`); an export has addresses, and no route."""
    of_the_application = re.compile(r"\bpool\.connection\(")
    found = {p.name for p in modules("queries") if of_the_application.search(p.read_text())}
    assert found == {"exports.py"}


def test_only_the_edge_is_asynchronous() -> None:
    """Two colours of functions in one folder is one too many; HTTP dependencies live in runtime."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("domain", "commands", "projections", "queries")
        for path in modules(package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AsyncFunctionDef)
    ]
    assert wrong == []


def test_no_module_is_named_for_nothing() -> None:
    """`utils` ends up owning a contract that nobody can find."""
    stems = {p.stem for package in OURS for p in (ROOT / package).rglob("*.py")}
    assert stems & NAMELESS == set()


def test_a_feature_has_one_name_in_every_folder() -> None:
    """`git grep -l torrents` lists the feature and nothing else."""
    names = {path.stem for path in (ROOT / "domain").iterdir() if path.suffix == ".py" or path.is_dir()}
    commands = {p.stem for p in (ROOT / "commands").glob("*.py") if p.stem != "__init__"}
    assert commands - COMMANDS_WITHOUT_AGGREGATE <= names


def test_every_projection_and_policy_is_listed() -> None:
    """A follower that is declared but not listed is never run, and every test of it stays green."""
    from commands.policies import POLICIES
    from projections import ALL

    packages = {p.parent.name for p in (ROOT / "projections").glob("*/__init__.py")}
    assert {p.name for p in ALL} == packages | {p.stem for p in (ROOT / "projections").glob("[!_]*.py")}
    assert {p.name for p in POLICIES} == {p.stem for p in modules("commands/policies")}


def test_every_router_is_listed() -> None:
    import commands
    import queries

    def with_router(package: str) -> int:
        return sum("router = APIRouter(" in p.read_text() for p in (ROOT / package).glob("*.py"))

    assert len(commands.ROUTERS) == with_router("commands")
    assert len(queries.ROUTERS) == with_router("queries")


def test_every_event_has_a_topic_of_its_aggregate() -> None:
    """The name in the store is for ever; a Python path is not (house trap T2)."""
    for kind in domain.EVENTS:
        topic = kind.TOPIC
        aggregate, _, fact = topic.partition(".")
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", fact), topic
        owner = next(a for a in domain.AGGREGATES if kind in vars(a).values())
        assert owner.TOPIC == aggregate, topic
    topics = [kind.TOPIC for kind in domain.EVENTS]
    assert len(set(topics)) == len(topics)


def test_every_aggregate_is_listed() -> None:
    listed = {a.__name__ for a in domain.AGGREGATES}
    declared = {
        node.name
        for path in modules("domain")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id == "Aggregate" for b in node.bases)
    }
    assert declared == listed
    assert all(issubclass(a, Aggregate) for a in domain.AGGREGATES)


def test_appliers_only_assign() -> None:
    """An applier runs on every replay: a rule in it makes old history unreadable (house trap T1)."""
    wrong = []
    for path in modules("domain"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any(_is_event(d) for d in node.decorator_list):
                bad = (ast.Raise, ast.If, ast.Assert, ast.Try, ast.While)
                wrong += [f"{path.name}:{n.lineno}" for n in ast.walk(node) if isinstance(n, bad)]
    assert wrong == []


def _is_event(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "event"
