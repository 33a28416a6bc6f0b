"""Tests of the messages for mistakes in BUILD files."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")

def _failure_test_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, ctx.attr.message)
    return analysistest.end(env)

_failure_test = analysistest.make(
    _failure_test_impl,
    attrs = {"message": attr.string(doc = "Text that is in the message.")},
    expect_failure = True,
)

def refused(rule, name, message, **kwargs):
    """Declares a target with a mistake, and the test `<name>_test` that the rule refuses it.

    Args:
      rule: the rule of the target, which only the test analyzes.
      name: the target's name.
      message: text that is in the message after "attribute". HERE stands for the package.
      **kwargs: attributes of the target.
    """
    rule(
        name = name,
        tags = ["manual"],
        **kwargs
    )
    _failure_test(
        name = name + "_test",
        message = "attribute " + message.replace("HERE", native.package_name()),
        target_under_test = name,
    )
