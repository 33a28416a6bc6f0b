"""The attributes `disks` and `copies`: what a test, or the tool of an image, may write to, and its names."""

load(":errors.bzl", "attribute_error", "shown")
load(":providers.bzl", "Qcow2Info")

visibility("//rules/private")

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# The longest node name that QEMU accepts, in bytes (BlockDriverState.node_name).
_LONGEST_NAME = 31

# Variables that Bazel sets for a test, a shell or the tool, and what the names of others begin
# with. src/cli/disks/names.rs has the same lists; a test compares them.
_RESERVED = ["HOME", "LOGNAME", "PATH", "PWD", "SHLVL", "TMPDIR", "TZ", "USER"]
_RESERVED_STARTS = ["BAZEL_", "QCOW2_OVERLAY", "RUNFILES_", "TEST_"]

# What the values of an attribute are called, an example, and what to name.
_WORDS = {
    "copies": struct(
        example = "{\"NODE1_VARS\": \"//firmware:OVMF_VARS.fd\"}",
        one = "copy",
        values = "files or directories",
    ),
    "disks": struct(
        example = "{\"NODE1\": \":node\"}",
        one = "disk",
        values = "images",
    ),
}

def labels_of(name, attribute, value):
    """Checks the attribute in the macro, where messages can still quote the BUILD file.

    Bazel accepts a `select()` in place of a dictionary, but not as a value in one. Such a
    value becomes an alias.

    Args:
      name: the name of the target.
      attribute: `disks` or `copies`.
      value: the value of the attribute.

    Returns:
      The value for the rule.
    """
    if type(value) != "dict":
        return value  # a `select()`, or what Bazel refuses
    words = _WORDS[attribute]
    labels = {}
    for key, target in value.items():
        if type(key) != "string" or ":" in key or "/" in key:
            attribute_error(attribute, "{} is not the name of a {}: names come first, {} second, as in {}".format(
                repr(key),
                words.one,
                words.values,
                words.example,
            ))
        if type(target) == "select":
            alias = "{}.{}".format(name, key)
            native.alias(
                name = alias,
                actual = target,
                tags = ["manual"],
            )
            target = alias
        labels[key] = target
    return labels

def check_apart(disks, copies):
    """Fails if a disk and a copy have one name.

    Args:
      disks: the attribute.
      copies: the attribute.
    """
    for name in copies:
        if name in disks:
            attribute_error("copies", "{} is the name of a disk too: give one of them another name".format(name))

def fixtures_of(ctx):
    """Checks the attributes and returns what they name.

    Args:
      ctx: the context of a rule with the attributes `disks` and `copies`.

    Returns:
      A struct with `images`, a dict from names of disks to Qcow2Info, and `originals`, a dict from
      names of copies to File.
    """
    disks, copies = ctx.attr.disks, ctx.attr.copies
    for attribute, names in {"copies": copies, "disks": disks}.items():
        for name in names:
            _check_name(attribute, name)
            if name.endswith("_BLOCKDEV") and name.removesuffix("_BLOCKDEV") in disks:
                attribute_error(attribute, "{} is set for the disk {}: give the other one another name".format(
                    name,
                    name.removesuffix("_BLOCKDEV"),
                ))
    check_apart(disks, copies)
    return struct(
        images = {name: _image(name, target) for name, target in disks.items()},
        originals = {name: _original(name, target) for name, target in copies.items()},
    )

def fixtures_of_test(ctx):
    """Does what `fixtures_of` does for a test, which has to have fixtures and `data`.

    Args:
      ctx: the context of a rule with the attributes `data`, `disks` and `copies`.

    Returns:
      What `fixtures_of` returns.
    """
    if not ctx.attr.disks and not ctx.attr.copies:
        attribute_error("disks", "it is empty, and so is copies: give at least one disk, as in {\"NODE1\": \":node\"}")
    fixtures = fixtures_of(ctx)
    _check_places(
        [("disks", info.chain.to_list()) for info in fixtures.images.values()] +
        [("copies", fixtures.originals.values()), ("data", ctx.files.data)],
    )
    return fixtures

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

def _check_name(attribute, name):
    is_well_formed = name and len(name) <= _LONGEST_NAME and name[0] in _LETTERS and \
                     not name.strip(_LETTERS + "0123456789_")
    if not is_well_formed:
        attribute_error(attribute, "{} is not the name of a {}: give a letter and up to {} letters, digits or _".format(
            repr(name),
            _WORDS[attribute].one,
            _LONGEST_NAME - 1,
        ))
    if name in _RESERVED or [start for start in _RESERVED_STARTS if name.startswith(start)]:
        attribute_error(attribute, "{} is a variable that Bazel or the tool sets: give another name".format(repr(name)))

def _image(name, target):
    if Qcow2Info in target and target[Qcow2Info].format != "raw":
        return target[Qcow2Info]
    attribute_error("disks", "{} is {}, which is not a qcow2 image with a known backing chain: make a qcow2_overlay with backing = {} and name that".format(
        name,
        shown(target.label),
        repr(shown(target.label)),
    ))
    return None  # not reached: for the linter

def _original(name, target):
    if Qcow2Info in target and target[Qcow2Info].backing:
        attribute_error("copies", "{} is {}, an image with a backing file, which a copy would not find: name it in disks".format(
            name,
            shown(target.label),
        ))
    files = target[DefaultInfo].files.to_list()
    if len(files) != 1:
        attribute_error("copies", "{} is {}, which has {} files: name a target with one file or one directory".format(
            name,
            shown(target.label),
            len(files),
        ))
    return files[0]
