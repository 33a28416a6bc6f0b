"""The public macros of images.

Bazel treats a string attribute called `size`, on any rule, as the size of a test, and accepts
only `small`, `medium`, `large` and `enormous`. The rules therefore call theirs `virtual_size`.
The macros check it first, so that no message mentions that name. They pass all other attributes
to the rules, whose docs the reference has too.
"""

load(":clone.bzl", "qcow2_clone")
load(":errors.bzl", "attribute_error")
load(":fixtures.bzl", "check_apart", "labels_of")
load(":image.bzl", _qcow2_image = "qcow2_image")
load(":overlay.bzl", _qcow2_overlay = "qcow2_overlay")
load(":provision.bzl", _qcow2_provision = "qcow2_provision")
load(":provisioned.bzl", "qcow2_provision_by_hand", "qcow2_provisioned_copy", "qcow2_provisioned_disk")

visibility("//rules")

# Attributes that `<name>.clone` and the like copy from the image.
_COMMON_ATTRS = ["target_compatible_with", "testonly", "visibility"]

def _check_size(size):
    if type(size) not in ["string", "select"]:
        attribute_error("size", "{} is not a string: give one such as \"20G\"".format(repr(size)))
    if size == "":
        attribute_error("size", "it is empty: give bytes, or a number with one of the suffixes K, M, G, T, P, E")

def _common(attributes):
    return {"tags": ["manual"]} | {
        key: value
        for key, value in attributes.items()
        if key in _COMMON_ATTRS
    }

def _declare_clone(name, attributes):
    qcow2_clone(name = name + ".clone", image = name, **_common(attributes))

# `<name>.PART` is a target or a file of each derived image.
_PARTS = ["base", "clone", "provision", "qcow2"]

def _check_parts(attribute, value):
    """Checks the names of disks or copies, each of which becomes a target."""
    if type(value) != "dict":
        attribute_error(attribute, "it is not a dictionary with fixed names, each of which is a target: give a select() for a value in it")
    for name in value:
        if name in _PARTS:
            attribute_error(attribute, "{} is a name that every derived image has already: give another name".format(repr(name)))

def _declare_parts(name, disks, copies, attributes):
    for disk in disks:
        part = "{}.{}".format(name, disk)
        qcow2_provisioned_disk(name = part, image = name, of = disk, **_common(attributes))
        _declare_clone(part, attributes)
    for copy in copies:
        qcow2_provisioned_copy(name = "{}.{}".format(name, copy), image = name, of = copy, **_common(attributes))
    qcow2_provision_by_hand(name = name + ".provision", image = name, **_common(attributes))

def qcow2_image(name, size = None, **kwargs):
    """A disk in one file, `<name>.qcow2`: blank, or with the content of an image.

    ```starlark
    load("@rules_qcow2//rules:defs.bzl", "qcow2_image")

    qcow2_image(
        name = "scratch",
        size = "10G",
    )

    qcow2_image(
        name = "node_base",
        src = "//os:node_image",
        compression = "zstd",
    )
    ```

    An image with `src` contains only the data, without holes and zeros, and targets that use
    it do not need the source. If `src` is an overlay, its whole chain becomes one file. The
    bytes depend only on the content and the options, not on the format and the layout of
    `src`; if they are compressed, also on the version of the tool.

    The build that converts a raw image still hashes and stores it once, at its full size. If
    you make the raw image yourself,
    [convert it in the same genrule](README.md#bases-that-cost-only-their-data).

    `bazel run //pkg:scratch.clone -- PATH` creates a writable disk with this content at PATH.

    Args:
      name: The target's name.
      size: Size of the disk: bytes, or a number with a suffix K, M, G, T, P, E
        (powers of 1024), such as `"20G"` or `"1.5G"`. Rounded up to a multiple of 512 bytes.
        Required without `src`.
        Default with `src`: the size of `src`, which is also the minimum.
      **kwargs: The other attributes, and those common to all rules, such as `tags` and
        `visibility`.
    """
    if size != None:
        _check_size(size)
    _qcow2_image(
        name = name,
        virtual_size = size,
        **kwargs
    )
    _declare_clone(name, kwargs)

def qcow2_overlay(name, size = None, **kwargs):
    """A writable disk, `<name>.qcow2`, that is backed by an image.

    Writes go to the overlay, which takes a few kilobytes at first. Reads of data that was
    never written go to the image.

    ```starlark
    load("@rules_qcow2//rules:defs.bzl", "qcow2_overlay")

    qcow2_overlay(
        name = "node",
        backing = "//os:node_image",
        size = "20G",
    )
    ```

    The target is one file: `$(location :node)` is its path, and its runfiles contain the
    whole chain. A test can open it read-only, or with QEMU's `snapshot=on`; to write, use
    `qcow2_test`. `bazel run //pkg:node.clone -- PATH` creates a private writable disk at PATH.

    If both `size` and the format of the base are known, the base is not read, and is not
    an input of the action. Each test and each `.clone` opens the base and checks both.

    Args:
      name: The target's name.
      size: Size of the disk, as in `qcow2_image`. Default: the size of the base, which is
        also the minimum.
      **kwargs: The other attributes, and those common to all rules, such as `tags` and
        `visibility`.
    """
    if size != None:
        _check_size(size)
    _qcow2_overlay(
        name = name,
        virtual_size = size,
        **kwargs
    )
    _declare_clone(name, kwargs)

def qcow2_provision(name, size = None, disks = {}, copies = {}, **kwargs):
    """A derived image, `<name>.qcow2`: an overlay that holds what a tool wrote to the disk.

    ```starlark
    load("@rules_qcow2//rules:defs.bzl", "qcow2_provision")

    qcow2_provision(
        name = "node_v2",
        srcs = ["release2.tar"],
        args = ["$(location release2.tar)"],
        backing = ":node_base",
        tool = ":install",
    )
    ```

    The action creates an empty overlay of `backing`, runs `tool`, and keeps what the tool
    wrote to the disk. In the environment of the tool, `DISK` is the absolute path of the
    disk, and `DISK_BLOCKDEV` is a complete value for QEMU's `-blockdev`. The tool boots a
    virtual machine on the disk, or writes to it in another way. When the tool ends, no process
    that it started may still have the disk open. If the tool fails, the build shows its output
    and fails, and nothing is kept.

    The target is an image like any other. It can be the base of an overlay or of another
    derived image, or the `src` of a `qcow2_image`, which merges the chain into one file. It
    holds only what differs from `backing`. The bytes depend only on the content of the disk
    and the options, not on the order of the writes. Whether a guest writes the same content
    each time is up to the tool.

    The tool can write to more than one disk, and to files and directories:

    ```starlark
    qcow2_provision(
        name = "db",
        backing = ":node_base",
        copies = {"VARS": "//firmware:OVMF_VARS.fd"},
        disks = {"DATA": ":data"},
        tool = ":install_database",
    )
    ```

    `$DATA` and `$DATA_BLOCKDEV` are an empty overlay of `:data`. What the tool wrote to it is the
    target `:db.DATA`, an image with the options of `:db`. `$VARS` is a copy of the file; as the tool
    leaves it, it is the target `:db.VARS`. All of these are written, or none.

    `bazel run //pkg:db.provision -- DIRECTORY` runs the tool
    [by hand](README.md#the-tool-by-hand), on disks that stay in DIRECTORY.

    Tags and `exec_properties` apply to the action: `tags = ["requires-kvm"]`, for example,
    or `["no-remote-cache"]`.

    Args:
      name: The target's name.
      size: Size of the disk, as in `qcow2_image`. Default: the size of `backing`, which is
        also the minimum. The tool cannot make the disk larger if its size is known before
        the build.
      disks: Dictionary from names of further disks to images, as in `qcow2_test`, except that the
        dictionary cannot be a `select()`. `DISK` is taken. Each disk has the size of its image.
      copies: Dictionary from names of copies to targets with one file or one directory, as in
        `qcow2_test`, with the same exception.
      **kwargs: The other attributes, and those common to all rules, such as `tags` and
        `visibility`.
    """
    if size != None:
        _check_size(size)
    for attribute, value in {"copies": copies, "disks": disks}.items():
        _check_parts(attribute, value)
    check_apart(disks, copies)
    _qcow2_provision(
        name = name,
        copies = labels_of(name + ".provision", "copies", copies),
        disks = labels_of(name + ".provision", "disks", disks),
        virtual_size = size,
        **kwargs
    )
    _declare_clone(name, kwargs)
    _declare_parts(name, disks, copies, kwargs)
