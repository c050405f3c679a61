"""Holds our verdicts on generated schemas against those of PyPI avro and of Apicurio Registry.

usage: compat_peers.py PAIRS_FILE APICURIO_URL

Each line of PAIRS_FILE is a family: schemas (oldest first), our verdict at each level, and who reads whom. A difference
must belong to a class of CLASSES, which says why it is there and who is right by the Avro specification. That what we
accept can be read, value by value, is shown by the test `pairs` of the crate contract.
"""
import collections
import json
import sys
import urllib.error
import urllib.request

import avro.compatibility
import avro.schema

PYTHON, APICURIO = "PyPI avro", "Apicurio"


def objects_to_names_only(case: dict) -> bool:
    return case["ours"] and not case["peer"] and all(said.startswith("expected: ") for said in case["said"])


# (peer, class, whether a difference is of it, why, who is right by the Avro specification)
CLASSES = [
    (
        PYTHON, "names of named types", objects_to_names_only,
        "PyPI avro asks for equal full names of enums, fixed and nested records, and does not look at aliases there. "
        "The specification, under Schema Resolution, matches them by their unqualified names, and under Aliases "
        "lets the reader's aliases stand in. Apicurio does both.",
        "ours",
    ),
]


class Tally:
    def __init__(self) -> None:
        self.agreed = collections.Counter()
        self.explained = collections.Counter()
        self.unexplained = []

    def note(self, peer: str, case: dict) -> None:
        if case["ours"] == case["peer"]:
            self.agreed[peer] += 1
            return
        for number, (of, _, is_it, _, _) in enumerate(CLASSES):
            if of == peer and is_it(case):
                self.explained[number] += 1
                return
        self.unexplained.append((peer, case))

    def tell(self, families: list) -> int:
        print(f"{len(families)} families of schemas, {sum(len(f['schemas']) for f in families)} schemas")
        for peer in (PYTHON, APICURIO):
            explained = sum(count for number, count in self.explained.items() if CLASSES[number][0] == peer)
            unexplained = sum(of == peer for of, _ in self.unexplained)
            print(f"{peer}: {self.agreed[peer]} agree, {explained} explained, {unexplained} unexplained")
        for number, count in sorted(self.explained.items()):
            peer, name, _, why, right = CLASSES[number]
            print(f"  {count} x {peer}, {name}: {why} Right: {right}.")
        for peer, case in self.unexplained[:10]:
            print("UNEXPLAINED", peer, json.dumps(case), file=sys.stderr)
        return 1 if self.unexplained else 0


def against_python(family: dict, tally: Tally) -> None:
    """Who reads whom, of every two versions."""
    parsed = [avro.schema.parse(text) for text in family["schemas"]]
    for read in family["reads"]:
        reader, writer = parsed[read["reader"]], parsed[read["writer"]]
        checker = avro.compatibility.ReaderWriterCompatibilityChecker()
        result = checker.get_compatibility(reader, writer)
        case = {
            "family": family["id"], "reader": family["schemas"][read["reader"]],
            "writer": family["schemas"][read["writer"]], "ours": not read["conflicts"],
            "peer": result.compatibility == avro.compatibility.SchemaCompatibilityType.compatible,
            "conflicts": read["conflicts"], "said": sorted(result.messages),
        }
        tally.note(PYTHON, case)


class Registry:
    def __init__(self, url: str) -> None:
        self.url = url
        self.open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def compare(self, family: dict, tally: Tally) -> None:
        """The newest version at every level, after the older ones were registered at none.

        The form of the question without a version looks at all versions whatever the level; the one that names the
        latest looks at that alone. So transitive levels ask the one, the others the other.
        """
        subject = f"family-{family['id']}"
        self.call("PUT", f"/config/{subject}", {"compatibility": "NONE"})
        for text in family["schemas"][:-1]:
            self.call("POST", f"/subjects/{subject}/versions", {"schema": text})
        for level, ours in family["levels"].items():
            self.call("PUT", f"/config/{subject}", {"compatibility": level})
            versions = "versions" if level.endswith("TRANSITIVE") else "versions/latest"
            answer = self.call(
                "POST", f"/compatibility/subjects/{subject}/{versions}", {"schema": family["schemas"][-1]}
            )
            tally.note(APICURIO, {
                "family": family["id"], "level": level, "schemas": family["schemas"], "ours": ours,
                "peer": answer["is_compatible"],
            })

    def call(self, method: str, path: str, body: dict) -> dict:
        request = urllib.request.Request(
            self.url + path, method=method, data=json.dumps(body).encode(),
            headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
        )
        try:
            with self.open(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()[:500]}")


def main() -> int:
    families = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
    registry = Registry(sys.argv[2])
    tally = Tally()
    for family in families:
        against_python(family, tally)
        registry.compare(family, tally)
    return tally.tell(families)


if __name__ == "__main__":
    sys.exit(main())
