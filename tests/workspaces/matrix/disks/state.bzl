"""A directory that an action makes."""

def _state_impl(ctx):
    directory = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [directory],
        command = "mkdir $1/v2 && echo secret > $1/v2/key.img && ln -s v2/key.img $1/current",
        arguments = [directory.path],
    )
    return [DefaultInfo(files = depset([directory]))]

state = rule(
    implementation = _state_impl,
    doc = "A directory with a file and a link to it.",
)
