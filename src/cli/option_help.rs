//! The part of --help about the options of an image.

pub const OPTIONS_HELP: &str = "\
Options for -o, separated by commas (write a comma in a value twice):
  compat=1.1|0.10        version of the format, also v3 or v2 [default: 1.1]
  cluster_size=SIZE      power of two from 512 to 2M [default: 64K]
  refcount_bits=N        1, 2, 4, 8, 16, 32 or 64 [default: 16]
  lazy_refcounts=on|off  postpone refcount updates; needs compat=1.1 [default: off]
  extended_l2=on|off     subclusters; needs cluster_size of at least 16K [default: off]
  backing_file=NAME      the same as -b, or -B of convert
  backing_fmt=FORMAT     the same as -F
  size=SIZE              size of the disk
";

pub const SIZE_HELP: &str = "
SIZE is in bytes, or a number with a suffix K, M, G, T, P or E, such as 1.5G. It is
rounded up to a multiple of 512 [default: the size of the backing file].
";
