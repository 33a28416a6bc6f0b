"""The macro for tests that run nodes."""

load("@host_tools//:defs.bzl", "LINUX_GUEST")
load("@rules_python//python:defs.bzl", "py_binary")
load("//rules:defs.bzl", "qcow2_test")

_KERNEL = "@host_tools//:kernel"

def node_test(name, data = [], env = {}, **kwargs):
    """Declares a Python test that runs nodes on its own disks.

    Args:
      name: the target's name; the test is `<name>.py`, which uses guest.py.
      data: other files that the test needs.
      env: its environment; the kernel is added as `KERNEL`.
      **kwargs: attributes of `qcow2_test`.
    """
    binary = name + "_binary"
    py_binary(
        name = binary,
        testonly = True,
        srcs = [name + ".py"],
        main = name + ".py",
        deps = [":guest"],
    )
    qcow2_test(
        name = name,
        size = "medium",
        data = data + [_KERNEL],
        env = env | {"KERNEL": "$(rootpath {})".format(_KERNEL)},
        target_compatible_with = LINUX_GUEST,
        test = binary,
        **kwargs
    )
