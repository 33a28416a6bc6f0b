"""The environment of an executable."""

visibility("//rules/private")

ExecutableEnvironmentInfo = provider(
    doc = "The environment that `bazel run` and `bazel test` give to an executable.",
    fields = {
        "environment": "dict of string to string: variables.",
        "inherited": "list of string: variables to inherit.",
    },
)

def expanded(ctx, environment, targets):
    """Expands the labels in the values of an attribute `env`.

    Args:
      ctx: the context of a rule or an aspect.
      environment: dict of string to string: the attribute.
      targets: the targets that `$(rootpath)` and the like may name. `$(location)` means
        `$(rootpath)`, because exec paths are not valid in a test.

    Returns:
      The environment to set.
    """
    return {
        name: ctx.expand_location(
            value.replace("$(location ", "$(rootpath ").replace("$(locations ", "$(rootpaths "),
            targets,
        )
        for name, value in environment.items()
    }

def _executable_environment_impl(target, ctx):
    if RunEnvironmentInfo in target:
        info = target[RunEnvironmentInfo]
        return [ExecutableEnvironmentInfo(
            environment = info.environment,
            inherited = info.inherited_environment,
        )]
    if ctx.rule.kind not in ["sh_binary", "sh_test"]:
        return [ExecutableEnvironmentInfo(environment = {}, inherited = [])]

    # In Bazel 7 these are native rules, which do not provide RunEnvironmentInfo.
    return [ExecutableEnvironmentInfo(
        environment = expanded(ctx, ctx.rule.attr.env, ctx.rule.attr.data),
        inherited = getattr(ctx.rule.attr, "env_inherit", []),
    )]

executable_environment = aspect(
    implementation = _executable_environment_impl,
    doc = "Finds the environment of an executable.",
)
