"""Compares two runs of QEMU's own tests, and reports what qemu_img.py recorded: see `run`."""

import collections
import json
import re
import sys
from pathlib import Path

work = Path(sys.argv[1])
lines = Path(__file__).with_name("known.tsv").read_text().splitlines()
KNOWN = [line.split("\t") for line in lines if line and not line.startswith("#")]


def reason(kind, text):
    """Returns the reason for a difference, or None if it is not known."""
    return next((why for k, pattern, why in KNOWN if k == kind and re.search(pattern, text)), None)


def results(name):
    """Returns the result of each test: ok, not ok or skipped."""
    found = {}
    for line in (work / f"{name}.tap").read_text(errors="replace").splitlines():
        if match := re.match(r"(ok|not ok) \S+ (\S+)( # SKIP)?", line):
            found[match[2]] = "skipped" if match[3] else match[1]
    return found


def verdict(name, is_good, text):
    print(f"{'PASSED' if is_good else 'FAILED'} {name}: {text}")
    return is_good


def compare_tests():
    theirs, ours = results("theirs"), results("ours")
    other = [test for test in theirs if ours.get(test) != theirs[test]]
    worse = [test for test in other if theirs[test] == "ok" and not reason("test", test)]
    for test in other:
        why = reason("test", test) or ("UNKNOWN" if test in worse else "qemu-img's own failure, such as a race")
        print(f"test {test}: {theirs[test]} with qemu-img, {ours.get(test)} with ours: {why}")
    count = collections.Counter(theirs.values())
    broken = [test for test in theirs if theirs[test] == "not ok"]
    text = f"{count['ok']} pass with qemu-img, {count['skipped']} are skipped, {count['not ok']} fail {broken}"
    # If more than a few fail with qemu-img, the suite does not run here, and equal results say nothing.
    is_good = count["ok"] > 4 * count["not ok"] and not worse and set(theirs) == set(ours)
    return verdict("iotests_pass_as_with_qemu_img", is_good, f"{text}; {len(other)} differ with ours")


def compare_records(kind, name):
    records = [json.loads(line) for line in (work / "record").read_text().splitlines()]
    records = [record for record in records if record["kind"] == kind]
    same = sum(record["result"] == "same" for record in records)
    classes, unknown = collections.Counter(), 0
    for record in records:
        if record["result"] != "same":
            why = reason(kind, record["problem"])
            unknown += why is None
            classes[record["result"], why or f"UNKNOWN: {record['problem']}: {record['arguments']}"] += 1
    for (result, why), count in classes.most_common():
        print(f"{kind}: {count} {result}: {why}")
    return verdict(name, same > 0 and not unknown, f"{same} of {len(records)} are the same")


checks = [
    compare_tests(),
    compare_records("create", "iotests_images_are_the_same"),
    compare_records("info", "iotests_info_says_the_same"),
]
sys.exit(not all(checks))
