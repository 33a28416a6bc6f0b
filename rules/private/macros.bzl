"""The public macros of images.

Bazel takes a string attribute called `size`, on any rule, for a test's size, and refuses
what is not `small`, `medium`, `large` or `enormous`. So the rules call it `virtual_size`,
and the macros check it, so that no message names that.
"""

load(":clone.bzl", "qcow2_clone")
load(":errors.bzl", "macro_error")
load(":image.bzl", _qcow2_image = "qcow2_image")
load(":overlay.bzl", _qcow2_overlay = "qcow2_overlay")
load(":provision.bzl", _qcow2_provision = "qcow2_provision")

visibility("//rules")

# What `<name>.clone` has as the image has it.
_CLONE_ATTRS = ["target_compatible_with", "testonly", "visibility"]

def _check_size(rule, name, size):
    if type(size) not in ["string", "select"]:
        macro_error(rule, name, "size", "{} is not a string: give one such as \"20G\"".format(repr(size)))
    if size == "":
        macro_error(rule, name, "size", "it is empty: give bytes, or a number with one of the suffixes K, M, G, T, P, E")

def _declare_clone(name, attributes):
    qcow2_clone(
        name = name + ".clone",
        image = name,
        tags = ["manual"],
        **{key: value for key, value in attributes.items() if key in _CLONE_ATTRS}
    )

def qcow2_image(
        name,
        size = None,
        src = None,
        src_format = None,
        cluster_size = "64K",
        compat = "1.1",
        extended_l2 = False,
        lazy_refcounts = False,
        **kwargs):
    """A disk that is one file, `<name>.qcow2`: blank, or with the content of an image.

    ```starlark
    load("@rules_qcow2//rules:defs.bzl", "qcow2_image")

    qcow2_image(
        name = "scratch",
        size = "10G",
    )

    qcow2_image(
        name = "node_base",
        src = "//os:node_image",
    )
    ```

    A raw image costs a build all its bytes: Bazel hashes and stores its holes and zeros
    like data. An image with `src` has only the data, and what uses it does not need the
    source: of an overlay the whole chain becomes one file. The bytes depend on the content
    and the options alone, whatever the format and the layout of `src` are.

    The build that converts it still hashes and stores the source once. A raw image that
    you make yourself need not be an output at all: a genrule can keep it to itself.

    ```starlark
    genrule(
        name = "node_base",
        outs = ["node_base.qcow2"],
        cmd = "$(execpath :make_image) $@.raw && $(QCOW2_OVERLAY) convert -q -f raw $@.raw $@ && rm $@.raw",
        toolchains = ["@rules_qcow2//rules:current_qcow2_toolchain"],
        tools = [
            ":make_image",
            "@rules_qcow2//rules:current_qcow2_toolchain",
        ],
    )
    ```

    A program that prints the image needs no file for it: `zstd -dc $< | $(QCOW2_OVERLAY) convert -q -f raw - $@`.

    `bazel run //pkg:scratch.clone -- PATH` writes a writable disk like it to PATH.

    Args:
      name: The target's name.
      size: Size of the disk: bytes, or a number with a suffix K, M, G, T, P, E
        (powers of 1024). Rounded up to 512 bytes. Required without `src`; with it, at
        least that of `src`, which is the default.
      src: An image: one file, raw or qcow2, or a target with `Qcow2Info`, such as an
        overlay. Default: the disk is blank.
      src_format: `"raw"` or `"qcow2"`. Default: from `Qcow2Info`, else what the content
        says.
      cluster_size: Bytes in a cluster, the unit of allocation: a power of two from
        `"512"` to `"2M"`.
      compat: Version of the format: `"1.1"` is version 3, `"0.10"` is version 2.
      extended_l2: Splits clusters into 32 subclusters, which copies less on small
        writes. Needs `compat` 1.1 and clusters of at least 16K.
      lazy_refcounts: Lets QEMU postpone refcount updates. Needs `compat` 1.1.
      **kwargs: What every rule has, such as `tags` and `visibility`.
    """
    if size != None:
        _check_size("qcow2_image", name, size)
    _qcow2_image(
        name = name,
        virtual_size = size,
        src = src,
        src_format = src_format,
        cluster_size = cluster_size,
        compat = compat,
        extended_l2 = extended_l2,
        lazy_refcounts = lazy_refcounts,
        **kwargs
    )
    _declare_clone(name, kwargs)

def qcow2_overlay(
        name,
        backing,
        size = None,
        backing_format = None,
        cluster_size = "64K",
        compat = "1.1",
        extended_l2 = False,
        lazy_refcounts = False,
        **kwargs):
    """A writable disk that is backed by an image, `<name>.qcow2`.

    Reads fall through to the image, writes stay in the overlay, a few kilobytes at
    first.

    ```starlark
    load("@rules_qcow2//rules:defs.bzl", "qcow2_overlay")

    qcow2_overlay(
        name = "node",
        backing = "//os:node_image",
        size = "20G",
    )
    ```

    The target is the image: `$(location :node)` is its path, and whatever has it in `data`
    has the whole chain. A test can open it read-only, or with QEMU's `snapshot=on`; to
    write, use `qcow2_test`. `bazel run //pkg:node.clone -- PATH` writes a private writable
    disk to PATH.

    With both `size` and the format known, the base is not read and not even an input
    of the action. What was declared is checked where the base is opened: by each test and
    each `.clone`.

    Args:
      name: The target's name.
      backing: The base: one file, raw or qcow2, or a target with `Qcow2Info`, such as
        another overlay.
      size: Size of the disk, as of `qcow2_image`. At least that of the base, which is
        the default.
      backing_format: `"raw"` or `"qcow2"`. Default: from `Qcow2Info`, else what the
        content says.
      cluster_size: As of `qcow2_image`.
      compat: As of `qcow2_image`. In `"0.10"` a guest's discard leaves stale data.
      extended_l2: As of `qcow2_image`.
      lazy_refcounts: As of `qcow2_image`.
      **kwargs: What every rule has, such as `tags` and `visibility`.
    """
    if size != None:
        _check_size("qcow2_overlay", name, size)
    _qcow2_overlay(
        name = name,
        backing = backing,
        virtual_size = size,
        backing_format = backing_format,
        cluster_size = cluster_size,
        compat = compat,
        extended_l2 = extended_l2,
        lazy_refcounts = lazy_refcounts,
        **kwargs
    )
    _declare_clone(name, kwargs)

def qcow2_provision(
        name,
        backing,
        tool,
        srcs = [],
        args = [],
        env = {},
        outs = [],
        size = None,
        backing_format = None,
        cluster_size = "64K",
        compat = "1.1",
        extended_l2 = False,
        lazy_refcounts = False,
        **kwargs):
    """An overlay with what a tool writes to it, `<name>.qcow2`: a derived image.

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

    The action makes an empty overlay of `backing`, runs `tool`, and keeps what that has
    written to the disk. The tool finds `DISK`, the absolute path of the disk, and
    `DISK_BLOCKDEV`, a complete value for `-blockdev` of QEMU, in its environment: it boots a
    virtual machine on it, or writes to it by other means. It must have closed the disk when
    it ends. If it fails, so does the build, with its output, and nothing is kept.

    The target is an image like any other: of an overlay on it, of another derivation, of
    `qcow2_image(src = ...)`, which makes one file of them. It holds only what differs from
    `backing`. The bytes depend on what is on the disk and the options alone, not on the order
    of the writes; whether a guest writes the same each time is up to the tool.

    Tags and `exec_properties` are those of any action: `tags = ["requires-kvm"]`, say, or
    `["no-remote-cache"]`.

    Args:
      name: The target's name.
      backing: The image that is on the disk at first: one file, raw or qcow2, or a target
        with `Qcow2Info`. It is never written to.
      tool: The executable that writes to the disk, built for the execution platform.
      srcs: Files that the tool reads.
      args: Its arguments. `$(location)`, `$(execpath)` and `$(rootpath)` of `srcs`, `outs` and
        `tool` are expanded.
      env: Its environment; expanded like `args`.
      outs: Further files that it must write, such as the log of the installation.
      size: Size of the disk, as of `qcow2_image`. At least that of `backing`, which is the
        default.
      backing_format: `"raw"` or `"qcow2"`. Default: from `Qcow2Info`, else what the
        content says.
      cluster_size: As of `qcow2_image`.
      compat: As of `qcow2_image`.
      extended_l2: As of `qcow2_image`.
      lazy_refcounts: As of `qcow2_image`.
      **kwargs: What every rule has, such as `tags` and `visibility`.
    """
    if size != None:
        _check_size("qcow2_provision", name, size)
    _qcow2_provision(
        name = name,
        args = args,
        backing = backing,
        backing_format = backing_format,
        cluster_size = cluster_size,
        compat = compat,
        env = env,
        extended_l2 = extended_l2,
        lazy_refcounts = lazy_refcounts,
        outs = outs,
        srcs = srcs,
        tool = tool,
        virtual_size = size,
        **kwargs
    )
    _declare_clone(name, kwargs)
