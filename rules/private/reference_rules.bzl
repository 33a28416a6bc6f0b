"""The rules behind the macros of images, for the reference: each attribute is documented once."""

load(":image.bzl", _qcow2_image = "qcow2_image")
load(":overlay.bzl", _qcow2_overlay = "qcow2_overlay")
load(":provision.bzl", _qcow2_provision = "qcow2_provision")

visibility("private")

qcow2_image = _qcow2_image
qcow2_overlay = _qcow2_overlay
qcow2_provision = _qcow2_provision
