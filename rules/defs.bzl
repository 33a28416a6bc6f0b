"""qcow2 disks for VM tests as build targets.

`qcow2_image`, `qcow2_overlay` and `qcow2_provision` make disks. `qcow2_test` runs an
executable with fresh writable disks like them.
"""

load(
    "//rules/private:macros.bzl",
    _qcow2_image = "qcow2_image",
    _qcow2_overlay = "qcow2_overlay",
    _qcow2_provision = "qcow2_provision",
)
load("//rules/private:providers.bzl", _Qcow2Info = "Qcow2Info")
load("//rules/private:test_macro.bzl", _qcow2_test = "qcow2_test")
load("//rules/private:toolchain.bzl", _qcow2_toolchain = "qcow2_toolchain")

Qcow2Info = _Qcow2Info
qcow2_image = _qcow2_image
qcow2_overlay = _qcow2_overlay
qcow2_provision = _qcow2_provision
qcow2_test = _qcow2_test
qcow2_toolchain = _qcow2_toolchain
