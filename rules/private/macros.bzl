"""The public macros: the rules with an attribute `size`.

Bazel takes a string attribute of this name, on any rule, for a test's size, and
refuses what is not `small`, `medium`, `large` or `enormous`. So the rules call it
`virtual_size`.
"""

load(":image.bzl", _qcow2_image = "qcow2_image")
load(":overlay.bzl", _qcow2_overlay = "qcow2_overlay")

visibility("//rules")

def qcow2_image(name, size, **kwargs):
    """A blank disk, `<name>.qcow2`.

    ```starlark
    load("@rules_qcow2//rules:defs.bzl", "qcow2_image")

    qcow2_image(
        name = "scratch",
        size = "10G",
    )
    ```

    `bazel run //pkg:scratch -- PATH` writes a writable one of its own to PATH.

    Args:
      name: the target's name.
      size: size of the disk: bytes, or a number with a suffix K, M, G, T, P, E
        (powers of 1024). Rounded up to 512 bytes.
      **kwargs: `cluster_size` (bytes in a cluster, the unit of allocation, a power of
        two from `"512"` to `"2M"`; default `"64K"`), `compat` (`"1.1"`, version 3 of
        the format, the default; or `"0.10"`, version 2), `extended_l2` (clusters of 32
        subclusters, for `compat` 1.1 and clusters of at least 16K; default False),
        `lazy_refcounts` (lets QEMU postpone refcount updates, for `compat` 1.1; default
        False), and what every rule has, such as `tags` and `visibility`.
    """
    _qcow2_image(name = name, virtual_size = size, **kwargs)

def qcow2_overlay(name, backing, size = None, **kwargs):
    """A writable disk on top of an image, `<name>.qcow2`.

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

    A test that has `:node` in its `data` can open it read-only, or with QEMU's
    `snapshot=on`, at its runfiles path. `bazel run //pkg:node -- PATH` writes a
    writable disk of its own to PATH.

    With both `size` and the format known, the image is not read and not even an input
    of the action.

    Args:
      name: the target's name.
      backing: the image beneath: one file, raw or qcow2, or a target with
        `Qcow2Info`, such as another overlay.
      size: size of the disk, as of `qcow2_image`. At least that of the image, which
        is the default.
      **kwargs: `backing_format` (`"raw"` or `"qcow2"`; default: from `Qcow2Info`, else
        what the content says), and those of `qcow2_image`.
    """
    _qcow2_overlay(name = name, backing = backing, virtual_size = size, **kwargs)
