//! Sizes, options and arguments that `create` refuses, with one line, a status and no file.

use crate::common::{create_fails, Dir};

#[test]
fn requires_a_size_or_a_base() {
    create_fails(
        "x",
        2,
        "give SIZE, or a backing file to take it from: -b NAME",
    );
}

#[test]
fn refuses_an_invalid_size() {
    let number = "give bytes, or a number with one of the suffixes K, M, G, T, P, E";
    let sign = "give the whole size, without a sign";
    for (size, right) in [
        ("1.5", number),
        ("ten", number),
        ("1KiB", number),
        ("0x", number),
        ("1,5G", number),
        ("-1", sign),
        ("+10G", sign),
        ("9E", "the largest disk has 2E"),
    ] {
        create_fails(
            &format!("x {size}"),
            2,
            &format!("SIZE: invalid size {size:?}: {right}"),
        );
        if !size.contains(',') {
            let message = format!("-o \"size\": invalid size {size:?}: {right}");
            create_fails(&format!("-o size={size} x"), 2, &message);
        }
    }
}

#[test]
fn refuses_a_size_over_the_limit() {
    create_fails(
        "x 3P",
        1,
        "size of 3377699720527872 bytes is over the limit of 2251799813685248 bytes; \
         cluster_size=131072 would allow it",
    );
    create_fails(
        "-o cluster_size=512 x 1T",
        1,
        "size of 1099511627776 bytes is over the limit of 137438953472 bytes; \
         cluster_size=2048 would allow it",
    );
    create_fails(
        "-o cluster_size=2M x 3E",
        1,
        "size of 3458764513820540928 bytes is over the limit of 2305843009213693952 bytes; \
         no cluster_size would allow it",
    );
    // The limits themselves are allowed.
    let dir = Dir::new();
    dir.tool("create a 2P").ok();
    dir.tool("create -o cluster_size=512 b 128G").ok();
    dir.tool("create -o cluster_size=2M c 2E").ok();
    dir.tool("create -o extended_l2=on d 1P").ok();
}

#[test]
fn refuses_an_unknown_option_or_value() {
    let list = "there is no such option, only compat, cluster_size, refcount_bits, \
                lazy_refcounts, extended_l2, compression_type, backing_file, backing_fmt and size";
    create_fails("-o foo=1 x 1G", 2, &format!("-o \"foo\": {list}"));
    create_fails("-o foo x 1G", 2, "-o \"foo\": write it as NAME=VALUE");
    create_fails(
        "-o compat=2 x 1G",
        2,
        "-o \"compat\": \"2\" is neither 1.1 (v3) nor 0.10 (v2)",
    );
    create_fails(
        "-o extended_l2=maybe x 1G",
        2,
        "-o \"extended_l2\": \"maybe\" is neither on nor off",
    );
    create_fails(
        "-o refcount_bits=a x 1G",
        2,
        "-o \"refcount_bits\": \"a\" is not a number",
    );
    create_fails("-o size=1G,size=1G x", 2, "-o \"size\": it is given twice");
    let both = "give SIZE or -o size, not both";
    create_fails("-o size=1G x 1G", 2, both);
    create_fails(
        "-b a -o backing_file=b x 1G",
        2,
        "give -b or -o backing_file, not both",
    );
    let formats = "unknown format \"vmdk\": it is raw or qcow2";
    create_fails(
        "-b a -o backing_fmt=vmdk x 1G",
        2,
        &format!("-o \"backing_fmt\": {formats}"),
    );
}

#[test]
fn refuses_a_value_out_of_range() {
    for size in ["0", "256", "3K", "4M"] {
        let bytes = qcow2_overlay::parse_size(size).expect("a size");
        create_fails(
            &format!("-o cluster_size={size} x 1G"),
            1,
            &format!("invalid cluster_size {bytes}: it is a power of two from 512 to 2M"),
        );
    }
    for bits in [0, 3, 128] {
        create_fails(
            &format!("-o refcount_bits={bits} x 1G"),
            1,
            &format!("invalid refcount_bits {bits}: it is 1, 2, 4, 8, 16, 32 or 64"),
        );
    }
}

#[test]
fn refuses_options_that_exclude_each_other() {
    for option in ["refcount_bits=8", "lazy_refcounts=on", "extended_l2=on"] {
        create_fails(
            &format!("-o compat=0.10,{option} x 1G"),
            1,
            &format!("{option} needs compat=1.1"),
        );
    }
    create_fails(
        "-o extended_l2=on,cluster_size=8K x 1G",
        1,
        "extended_l2=on needs a cluster_size of at least 16K",
    );
    let needs = "-F and --probe require a backing file: -b NAME";
    create_fails("-F raw x 1G", 2, needs);
    create_fails("--probe a x 1G", 2, needs);
    let needs = "-u, --standalone and --no-backing-format require a backing file: -b NAME";
    create_fails("-u x 1G", 2, needs);
    create_fails("--standalone x 1G", 2, needs);
    create_fails("--no-backing-format x 1G", 2, needs);
    for (option, shown) in [
        ("--probe a", "--probe <PATH>"),
        ("--standalone", "--standalone"),
    ] {
        create_fails(
            &format!("-u {option} -b a -F raw x 1G"),
            2,
            &format!("the argument '-u' cannot be used with '{shown}'; --help shows the usage"),
        );
    }
    create_fails("-u -b a -F raw x", 2, "-u requires SIZE");
    create_fails(
        "-u -b a x 1G",
        2,
        "-u requires the format of the backing file: -F raw or qcow2",
    );
}

#[test]
fn refuses_unknown_and_missing_arguments() {
    create_fails(
        "--foo x",
        2,
        "unexpected argument '--foo' found; --help shows the usage",
    );
    create_fails(
        "-F vmdk -b a x",
        2,
        "invalid value 'vmdk' for '-F <FORMAT>' [possible values: raw, qcow2]; \
         --help shows the usage",
    );
    // In QEMU's convert, -B is the name.
    create_fails(
        "-B base.raw x",
        2,
        "invalid value 'base.raw' for '-B <FORMAT>' [possible values: raw, qcow2]; \
         --help shows the usage",
    );
    create_fails(
        "-B raw x 1G",
        2,
        "-F and --probe require a backing file: -b NAME",
    );
    create_fails("-b a -B raw -F raw x", 2, "give -F or -B, not both");
    create_fails(
        "--no-backing-format -b a -B raw x",
        2,
        "the argument '--no-backing-format' cannot be used with '-B <FORMAT>'; \
         --help shows the usage",
    );
    create_fails(
        "",
        2,
        "the following required arguments were not provided: <FILE>; --help shows the usage",
    );
    let dir = Dir::new();
    let subcommands =
        "give a subcommand: create, convert, clone, exec, provision, blockdev or info; --help explains them";
    dir.tool("").fails(2, subcommands);
}
