"""Tests of what the rules say about mistakes."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")

def _failure_test_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, ctx.attr.message)
    return analysistest.end(env)

_failure_test = analysistest.make(
    _failure_test_impl,
    attrs = {"message": attr.string(doc = "What the failure says.")},
    expect_failure = True,
)

def refused(name, rule, message, **kwargs):
    """A target that is declared wrongly, and the test `<name>_test` that it is refused.

    Args:
      name: the target's name.
      rule: the rule of the target, which is analysed by the test only.
      message: what the failure says.
      **kwargs: attributes of the target.
    """
    rule(
        name = name,
        tags = ["manual"],
        **kwargs
    )
    _failure_test(
        name = name + "_test",
        message = message,
        target_under_test = name,
    )
