"""Holds the quality of answers to its gates: evaluates, scores by the data set's own scorer, compares.

usage: gates.py UPNEXT_BINARY DATA_DIRECTORY WORK_DIRECTORY
"""
import json
import pathlib
import subprocess
import sys

# Data set, tier, kind of query, measure, least value.
GATES = [
    ("eshop2008", "full", "next", "Recall@20", 0.69),
    ("eshop2008", "session", "next", "Recall@20", 0.66),
    ("eshop2008", "trending", "next", "Recall@20", 0.27),
]
HEADLINE = "headline(with-context)"
HTTP_QUERIES = "1000"


def main() -> None:
    binary, data, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    work.mkdir(parents=True, exist_ok=True)
    failed = [gate for gate in GATES if not holds(binary, data, work, gate)]
    over_http(binary, data / "eshop2008", work)
    if failed:
        raise SystemExit(f"{len(failed)} gates do not hold")


def holds(binary: str, data: pathlib.Path, work: pathlib.Path, gate: tuple) -> bool:
    name, tier, kind, measure, least = gate
    answers = work / f"{name}-{tier}.jsonl"
    ours = evaluate(binary, data / name, answers, "--via", "offline", "--tier", tier)
    theirs = json.loads(run(
        sys.executable, str(data / "score.py"), str(data / name / "queries.jsonl.gz"), str(answers)
    ))
    for kind_name, cohorts in theirs.items():
        for cohort, figures in cohorts.items() if kind_name != "_" else []:
            same(f"{name} {tier} {kind_name} {cohort}", ours[kind_name][cohort], figures)
    value = theirs[kind][HEADLINE][measure]
    print(f"{name} {tier} {kind} {measure} {value} (least {least})", flush=True)
    return value >= least


def same(what: str, ours: dict, theirs: dict) -> None:
    """The figures that upnext prints are those of the data set's scorer, but for its random interval."""
    for name, value in theirs.items():
        assert name == "ci95" or abs(ours[name] - value) < 1e-9, f"{what} {name}: {ours[name]}, not {value}"


def over_http(binary: str, dataset: pathlib.Path, work: pathlib.Path) -> None:
    """Exit 1 of the evaluation, when a list differs from the offline one, fails here."""
    report = evaluate(
        binary, dataset, work / "http.jsonl", "--via", "http", "--queries", HTTP_QUERIES
    )
    print("over http", report["next"][HEADLINE]["Recall@20"], "on", report["_"]["queries"], flush=True)


def evaluate(binary: str, dataset: pathlib.Path, answers: pathlib.Path, *more: str) -> dict:
    return json.loads(run(
        binary, "evaluate", "--dataset", str(dataset), "--answers", str(answers), *more
    ))


def run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
