"""The dataclasses, from JSON without a process, and the words of errors."""

import json
import pathlib
import pickle
import re
import sys
import typing
import unittest

import memshed
from memshed import _errors, _model

ROOT = pathlib.Path(__file__).parents[2]
REPORT = ROOT / "crates/memshed-report"


def golden(name):
    return json.loads((REPORT / f"tests/report/golden/{name}.json").read_text(encoding="utf-8"))


def schema(name):
    return json.loads((REPORT / f"schema/{name}.schema.json").read_text(encoding="utf-8"))


ANSWERS = {
    "inspect": memshed.Inspection,
    "leaks": memshed.Leaks,
    "diff": memshed.Diff,
    "why": memshed.Why,
}


class Models(unittest.TestCase):
    def test_the_version_is_the_workspace_s(self):
        manifest = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
        version = re.search(r'^version = "([^"]+)"', manifest, re.MULTILINE).group(1)
        self.assertEqual(memshed.__version__, version)

    def test_every_answer_is_decoded(self):
        for name, kind in ANSWERS.items():
            with self.subTest(name):
                answer = _model.decode(kind, golden(name))
                self.assertEqual(answer.raw, golden(name))
                self.assertEqual(str(answer).splitlines()[0], answer.verdict[0])
                self.assertEqual(pickle.loads(pickle.dumps(answer)), answer)
                hash(answer)

    def test_sizes_are_numbers_and_addresses_ids(self):
        seen = _model.decode(memshed.Inspection, golden("inspect"))
        self.assertEqual(seen.process.rss_bytes, 100_000_000)
        self.assertEqual(seen.process.container.limit_bytes, 256_000_000)
        self.assertEqual(seen.largest[0].address, 0x7F0000001200)
        self.assertEqual(sum(part.bytes for part in seen.memory), seen.process.rss_bytes)
        self.assertEqual(seen.memory[0].parts[0].category, "small objects")
        self.assertEqual(seen.gc.generations[0].threshold, 700)

    def test_findings_are_told_from_leaks(self):
        answer = _model.decode(memshed.Leaks, golden("leaks"))
        self.assertEqual([one.kind for one in answer.findings], ["growth", "fragmentation"])
        self.assertEqual([one.kind for one in answer.leaking], ["growth"])
        self.assertIsNone(answer.findings[1].bytes_per_second)
        self.assertEqual(answer.findings[0].locations[0].line, 12)

    def test_every_member_that_a_schema_promises_has_a_field(self):
        """Members that come later are in ``raw``; those that are there have a field each."""

        def check(node, kind, definitions, at):
            if "$ref" in node:
                node = definitions[node["$ref"].rpartition("/")[2]]
            if "oneOf" in node:
                node = next(one for one in node["oneOf"] if one.get("type") != "null")
                return check(node, kind, definitions, at)
            kind = next(
                (one for one in typing.get_args(kind) if one not in (type(None), Ellipsis)), kind
            )
            if "items" in node:
                return check(node["items"], kind, definitions, at)
            hints = typing.get_type_hints(kind) if "properties" in node else {}
            for name, inner in node.get("properties", {}).items():
                if name in ("schema", "cycle", "references", "container") or at.count(".") > 6:
                    continue
                self.assertIn(name, hints, at)
                check(inner, hints[name], definitions, f"{at}.{name}")

        for name, kind in ANSWERS.items():
            described = schema(name)
            check(described, kind, described.get("$defs", {}), name)

    def test_what_is_new_is_kept_and_what_is_missing_is_told(self):
        document = {**golden("leaks"), "mood": "good"}
        self.assertEqual(_model.decode(memshed.Leaks, document).raw["mood"], "good")
        del document["findings"]
        with self.assertRaisesRegex(memshed.MemshedError, "findings"):
            _model.decode(memshed.Leaks, document)

    def test_sizes_read_as_memshed_writes_them(self):
        for number, text in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (39_800_832, "39.8 MB"),
            (10**18, "1000.0 PB"),
        ]:
            self.assertEqual(_model.size(number), text)


class Errors(unittest.TestCase):
    def test_a_story_becomes_message_and_hint(self):
        story = "memshed: there is no process 7\nhint: `memshed ps` lists them\n"
        error = _errors.from_story(story, "ended with status 2")
        self.assertIsInstance(error, memshed.Gone)
        self.assertEqual(error.message, "there is no process 7")
        self.assertEqual(error.hint, "`memshed ps` lists them")
        self.assertEqual(str(error), "there is no process 7\nhint: `memshed ps` lists them")
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(again), again.hint), (memshed.Gone, error.hint))

    def test_what_is_no_story_is_told_whole(self):
        error = _errors.from_story("error: unexpected argument\n", "ended with status 2")
        self.assertEqual(
            str(error), "the memshed command ended with status 2: error: unexpected argument"
        )


if __name__ == "__main__":
    sys.exit(unittest.main())
