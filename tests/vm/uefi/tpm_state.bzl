"""The state of a TPM: a directory."""

def _tpm_state_impl(ctx):
    state = ctx.actions.declare_directory(ctx.label.name)
    ctx.actions.run_shell(
        outputs = [state],
        arguments = [state.path],
        # swtpm_setup calls other programs with the PATH that it has.
        command = "swtpm_setup --tpm2 --tpmstate \"$1\" --createek --overwrite > \"$1.log\" 2>&1 || { cat \"$1.log\"; exit 1; }",
        # Each action makes other keys.
        execution_requirements = {"no-remote-cache": ""},
        mnemonic = "TpmState",
        use_default_shell_env = True,
    )
    return DefaultInfo(files = depset([state]))

tpm_state = rule(
    implementation = _tpm_state_impl,
    doc = "A directory with the state of a new software TPM, with an endorsement key.",
)
