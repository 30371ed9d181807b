"""Grafana dashboards and alerts ask only for metrics and labels that the running code has, and show all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.metrics import MetricWrapperBase

import runtime.telemetry

OPS = Path(__file__).parent.parent / "ops"
BOARDS = OPS / "grafana" / "dashboards"
PROMETHEUS = OPS / "prometheus" / "prometheus.yml"
ALERTS = OPS / "prometheus" / "alerts.yml"
OPERATIONS = OPS.parent / "docs" / "operations.md"
NAMES = ["application", "database", "http", "projections", "tracker"]

#: Prometheus adds these to what it scrapes: the first two itself, the third as ops/prometheus/prometheus.yml says.
TARGET_LABELS = {"instance", "job", "role"}
FUNCTIONS = {"rate", "sum", "max", "histogram_quantile", "topk", "time"}

_SELECTOR = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)\{([^}]*)\}(?:\[[^]]*\])?")
_GROUPING = re.compile(r"\b(?:by|without) \(([^)]*)\)")
_MATCHER = re.compile(r'([a-z_]+)(?:=~|!=|!~|=)"([^"]*)"')


class Shape(NamedTuple):
    """A metric's labels, and the names under which its samples are scraped."""

    labels: frozenset[str]
    samples: frozenset[str]


def registry() -> dict[str, Shape]:
    """Every sample's name with the shape of its metric, as the roles declare them."""
    found: dict[str, Shape] = {}
    for metric in vars(runtime.telemetry).values():
        if isinstance(metric, MetricWrapperBase):
            (shown,) = metric.describe()
            endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(shown.type, ("",))
            names = frozenset(shown.name + ending for ending in endings)
            for name in names:
                labels = {*metric._labelnames, *(["le"] if name.endswith("_bucket") else [])}
                found[name] = Shape(frozenset(labels), names)
    return found


def panels(board: Any) -> list[Any]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions(board: Any) -> Iterator[tuple[str, str, str]]:
    """The title, the query and the legend of everything that is drawn."""
    for panel in panels(board):
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


def wrong(board: Any) -> list[str]:
    """What the queries name and the code has not."""
    known, found = registry(), []
    for title, query, legend in expressions(board):
        selectors = _SELECTOR.findall(query)
        groups = [part.strip() for group in _GROUPING.findall(query) for part in group.split(",")]
        rest = set(re.findall(r"[A-Za-z_:][\w:]*", _GROUPING.sub("", _SELECTOR.sub("", query)))) - FUNCTIONS
        found += [f"{title}: {name} is no function, and no metric without braces" for name in sorted(rest)]
        found += [] if selectors else [f"{title}: no metric"]
        for metric, matchers in selectors:
            if metric not in known:
                found.append(f"{title}: no metric {metric}")
                continue
            has = known[metric].labels | TARGET_LABELS
            used = {label for label, _ in _MATCHER.findall(matchers)} | set(groups)
            found += [f"{title}: {metric} has no label {label}" for label in sorted(used - has)]
        shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
        kept = (
            set(groups) if groups else {"instance", *(label for m, _ in selectors for label in known_labels(m, known))}
        )
        found += [f"{title}: the query keeps no {label} for the legend" for label in sorted(shown - kept)]
    return found


def known_labels(metric: str, known: dict[str, Shape]) -> frozenset[str]:
    return known[metric].labels if metric in known else frozenset()


def read(name: str = "tracker") -> Any:
    return json.loads((BOARDS / f"{name}.json").read_text())


every_board = pytest.mark.parametrize("name", NAMES)


def test_these_are_all_dashboards() -> None:
    assert sorted(path.stem for path in BOARDS.iterdir()) == NAMES
    boards = [read(name) for name in NAMES]
    for unique in ("uid", "title"):
        assert len({board[unique] for board in boards}) == len(NAMES)


@every_board
def test_every_metric_of_a_panel_exists_with_its_labels(name: str) -> None:
    assert wrong(read(name)) == []


def test_every_metric_is_in_a_panel() -> None:
    """A metric that nobody looks at is a metric that nobody misses when it is wrong."""
    queries = [query for name in NAMES for _, query, _ in expressions(read(name))]
    drawn = {metric for query in queries for metric, _ in _SELECTOR.findall(query)}
    assert [sorted(shape.samples) for shape in set(registry().values()) if not drawn & shape.samples] == []


def change_query(title: str, old: str, new: str) -> Callable[[Any], None]:
    def change(board: Any) -> None:
        (panel,) = [panel for panel in panels(board) if panel["title"] == title]
        before = panel["targets"][0]["expr"]
        panel["targets"][0]["expr"] = before.replace(old, new)
        assert panel["targets"][0]["expr"] != before

    return change


@pytest.mark.parametrize(
    ("title", "old", "new", "complaint"),
    [
        ("Accepted", "announces_total", "announce_total", "no metric announce_total"),
        ("Peers", "peers{", "peer{", "no metric peer"),
        ("Latency p99", "_bucket", "", "no metric announce_duration_seconds"),
        ("Latency p99", "family", "address_family", "has no label address_family"),
        ("Refused by reason", "outcome!=", "reason!=", "has no label reason"),
        ("Scrapes", "scrapes_total{", "scrapes_total + nonsense{", "no metric nonsense"),
        ("Scrapes", "sum(", "summe(", "summe is no function"),
        ("Refused by reason", ", outcome) (", ") (", "keeps no outcome for the legend"),
    ],
)
def test_a_misspelt_name_is_found(title: str, old: str, new: str, complaint: str) -> None:
    board = read()
    change_query(title, old, new)(board)
    assert any(complaint in said for said in wrong(board)), wrong(board)


@every_board
def test_panels_have_numbers_of_their_own_and_do_not_overlap(name: str) -> None:
    board = read(name)
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers)
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places), "Grafana has 24 columns"
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above


@every_board
def test_panels_ask_the_data_source_that_is_chosen_and_only_chosen_instances(name: str) -> None:
    board = read(name)
    chosen = {variable["name"] for variable in board["templating"]["list"]}
    assert chosen == {"datasource", "instance"}
    assert {panel["datasource"]["uid"] for panel in panels(board)} == {"${datasource}"}
    for title, query, _ in expressions(board):
        assert all('instance=~"$instance"' in matchers for _, matchers in _SELECTOR.findall(query)), title


def test_prometheus_scrapes_every_role_under_the_job_that_the_dashboard_asks_for() -> None:
    text = PROMETHEUS.read_text()
    (job,) = re.findall(r"^  - job_name: (\w+)", text, re.MULTILINE)
    (instances,) = [v["definition"] for v in read()["templating"]["list"] if v["name"] == "instance"]
    assert f'job="{job}"' in instances
    bare = re.sub(r"#.*", "", text)
    assert set(re.findall(r"labels: \{role: (\w+)\}", bare)) == {"api", "worker", "edge"}
    ports = {int(port) for port in re.findall(r'"[\d.]+:(\d+)"', bare)}
    assert ports == {9090}, "the default of APP__TELEMETRY__METRICS_PORT"
    edges = set(re.findall(r"server edge-\d (10\.0\.0\.\d+):", (OPS / "haproxy" / "tracker.cfg").read_text()))
    assert edges <= set(re.findall(r'"([\d.]+):9090"', bare)), "the edges behind the load balancer are watched"


def test_provisioning_finds_the_dashboard_and_its_data_source() -> None:
    folder = OPS / "grafana" / "provisioning"
    sources = (folder / "datasources" / "prometheus.yml").read_text()
    providers = (folder / "dashboards" / "tracker.yml").read_text()
    for text in (sources, providers):
        assert re.search(r"^apiVersion: 1$", text, re.MULTILINE)
    assert re.search(r"^    type: prometheus$", sources, re.MULTILINE)
    assert re.search(r"^    type: file$", providers, re.MULTILINE)
    assert re.search(r"^      path: \S+$", providers, re.MULTILINE)


def test_compose_scrapes_every_role_under_the_same_job() -> None:
    text = (OPS / "compose" / "prometheus.yml").read_text()
    assert re.findall(r"^  - job_name: (\w+)", text, re.MULTILINE) == ["tracker"]
    targets = re.findall(r'targets: \["(\w+):9090"\]\n\s+labels: \{role: (\w+)\}', text)
    assert {service for service, role in targets if service == role} == {"api", "worker", "edge"}
    source = (OPS / "compose" / "datasource.yml").read_text()
    assert re.search(r"^    url: http://prometheus:9090$", source, re.MULTILINE)


def alerts() -> list[tuple[str, str, str]]:
    """The name, the query and the recipe of each."""
    pattern = r"- alert: (\w+)\n\s+expr: (.*)\n.*\n.*\n.*recipe: ([\w-]+)\}"
    return re.findall(pattern, ALERTS.read_text())


def test_every_alert_asks_for_metrics_that_exist() -> None:
    known = registry()
    assert len(alerts()) == ALERTS.read_text().count("- alert:") > 0
    for name, query, _ in alerts():
        groups = {part.strip() for group in _GROUPING.findall(query) for part in group.split(",")}
        for metric, matchers in _SELECTOR.findall(query):
            assert metric in known or metric == "up", f"{name}: {metric}"
            used = {label for label, _ in _MATCHER.findall(matchers)} | groups
            assert used <= known_labels(metric, known) | TARGET_LABELS, f"{name}: {metric}"
            assert ("job", "tracker") in _MATCHER.findall(matchers), name
        rest = _GROUPING.sub("", _SELECTOR.sub("", query))
        assert set(re.findall(r"[A-Za-z_]\w*", rest)) <= FUNCTIONS | {"and"}, name


def test_every_alert_has_a_recipe() -> None:
    headings = re.findall(r"^#+ (.*)$", OPERATIONS.read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert {recipe for _, _, recipe in alerts()} <= anchors
