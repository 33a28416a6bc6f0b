"""Writes the next release of the node of tests/vm/linux: one in PART of its files has other content.

next_node.py PART IMAGE SIZE PATH_IN_THE_NODE=FILE...
"""

import os
import random
import sys
import tempfile

from node_image import LINKS, contents, write


def main(part, image, size, *files):
    # Bazel's PATH lacks the directory of sfdisk and mke2fs.
    os.environ["PATH"] += ":/usr/sbin"
    sources = {
        name: source
        for name, source in sorted(contents(files).items())
        if source and name not in LINKS and os.path.isfile(source) and not os.path.islink(source)
    }
    numbers = random.Random(0)
    with tempfile.TemporaryDirectory() as directory:
        changed = []
        for name in numbers.sample(list(sources), len(sources) // int(part)):
            path = os.path.join(directory, str(len(changed)))
            with open(path, "wb") as file:
                file.write(numbers.randbytes(os.path.getsize(sources[name])))
            changed.append(f"{name}={path}")
        write(image, int(size), [*files, *changed], None)


if __name__ == "__main__":
    main(*sys.argv[1:])
