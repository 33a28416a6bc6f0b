"""The platforms that have prebuilt tools."""

visibility("//rules/toolchains")

# The keys are also used in TOOLS and in the names of repositories.
PLATFORMS = {
    "linux_aarch64": ["@platforms//os:linux", "@platforms//cpu:aarch64"],
    "linux_x86_64": ["@platforms//os:linux", "@platforms//cpu:x86_64"],
    "macos_aarch64": ["@platforms//os:macos", "@platforms//cpu:aarch64"],
    "macos_x86_64": ["@platforms//os:macos", "@platforms//cpu:x86_64"],
}
