"""The attribute `disks` of `qcow2_test`: the names of disks, and their images."""

load(":errors.bzl", "attribute_error", "shown")
load(":providers.bzl", "Qcow2Info")

visibility("//rules/private")

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# The longest node name that QEMU accepts, in bytes (BlockDriverState.node_name).
_LONGEST_NAME = 31

# Variables that Bazel sets for every test.
_RESERVED = ["HOME", "LOGNAME", "PATH", "PWD", "SHLVL", "TMPDIR", "TZ", "USER"]
_RESERVED_STARTS = ["BAZEL_", "QCOW2_OVERLAY_", "RUNFILES_", "TEST_"]

def labels_of_disks(name, disks):
    """Checks the attribute in the macro, where messages can still quote the BUILD file.

    Bazel accepts a `select()` in place of a dictionary, but not as a value in one. Such a
    value becomes an alias.

    Args:
      name: the name of the target.
      disks: the value of the attribute.

    Returns:
      The value for the rule.
    """
    if type(disks) != "dict":
        return disks  # a `select()`, or what Bazel refuses
    labels = {}
    for disk, image in disks.items():
        if type(disk) != "string" or ":" in disk or "/" in disk:
            attribute_error("disks", "{} is not the name of a disk: names come first, images second, as in {{\"NODE1\": \":node\"}}".format(
                repr(disk),
            ))
        if type(image) == "select":
            alias = "{}.{}".format(name, disk)
            native.alias(
                name = alias,
                actual = image,
                tags = ["manual"],
            )
            image = alias
        labels[disk] = image
    return labels

def images_of_disks(ctx):
    """Checks the attribute and returns its images.

    Args:
      ctx: the context of a rule with an attribute `disks`.

    Returns:
      A dict from names of disks to Qcow2Info.
    """
    if not ctx.attr.disks:
        attribute_error("disks", "it is empty: give at least one disk, as in {\"NODE1\": \":node\"}")
    for name in ctx.attr.disks:
        _check_name(name)
        if name + "_BLOCKDEV" in ctx.attr.disks:
            attribute_error("disks", "{}_BLOCKDEV is set for the disk {}: give the other one another name".format(name, name))
    images = {name: _image(name, target) for name, target in ctx.attr.disks.items()}
    _check_places([("disks", info.chain.to_list()) for info in images.values()] + [("data", ctx.files.data)])
    return images

def _check_places(named):
    """Fails if two files have one place in the runfiles, where Bazel keeps either without a word."""
    files = {}
    for attribute, list in named:
        for file in list:
            other = files.setdefault(file.short_path, file)
            if other.path != file.path:
                attribute_error(attribute, "{} and {} have the same place in the runfiles: give one of them another name, or make a qcow2_overlay of it and name that".format(
                    repr(other.path),
                    repr(file.path),
                ))

def _check_name(name):
    is_well_formed = name and len(name) <= _LONGEST_NAME and name[0] in _LETTERS and \
                     not name.strip(_LETTERS + "0123456789_")
    if not is_well_formed:
        attribute_error("disks", "{} is not the name of a disk: give a letter and up to {} letters, digits or _".format(
            repr(name),
            _LONGEST_NAME - 1,
        ))
    if name in _RESERVED or [start for start in _RESERVED_STARTS if name.startswith(start)]:
        attribute_error("disks", "{} is a variable that Bazel sets: give another name".format(repr(name)))

def _image(name, target):
    if Qcow2Info in target and target[Qcow2Info].format != "raw":
        return target[Qcow2Info]
    attribute_error("disks", "{} is {}, which is not a qcow2 image with a known backing chain: make a qcow2_overlay with backing = {} and name that".format(
        name,
        shown(target.label),
        repr(shown(target.label)),
    ))
    return None  # not reached: for the linter
