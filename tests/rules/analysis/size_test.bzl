"""Test of how sizes in BUILD files are read."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")

# buildifier: disable=bzl-visibility
load("//rules/private:size.bzl", "parse_size")

_SIZES = {
    "": None,
    ".": None,
    "-1": None,
    "0.0015K": 2,
    ".5K": 512,
    "0": 0,
    "1": 1,
    "1.0": None,
    "1.5G": 3 << 29,
    "1.G": 1 << 30,
    "1000": 1000,
    "10 G": None,
    "1GiB": None,
    "1KB": None,
    "20G": 20 << 30,
    "512b": 512,
    "64k": 65536,
    "7E": 7 << 60,
    "9E": 9 << 60,
    "G": None,
    "ten": None,
}

def _size_test_impl(ctx):
    env = unittest.begin(ctx)
    for text, size in _SIZES.items():
        asserts.equals(env, size, parse_size(text), repr(text))
    return unittest.end(env)

size_test = unittest.make(_size_test_impl)
