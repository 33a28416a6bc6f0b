"""Tests that fail with a QEMU older than 10.0, and why. The script `run` reads the names."""

_INFO = "`info` prints what newer versions of `qemu-img info` print: the child nodes, other columns of snapshots"

NEEDS_QEMU_10 = {
    "block_device::info_describes_a_device_as_qemu_img_does": _INFO,
    "broken::refuses_in_one_line_what_qemu_img_refuses": _INFO,
    "doubtful::stored_names_end_at_a_nul": _INFO,
    "doubtful::the_last_extension_of_a_type_counts": _INFO,
    "exec::a_copy_keeps_what_a_killed_qemu_wrote": "QEMU 7.2 has already written the mapping of a new cluster when it is killed",
    "info::describes_aes_encryption": _INFO,
    "info::describes_bitmaps": _INFO,
    "info::describes_dirty_and_corrupt_images": _INFO,
    "info::describes_external_data_files": _INFO,
    "info::describes_images_with_data": _INFO,
    "info::describes_images_with_unknown_extensions": _INFO,
    "info::describes_luks_encryption_except_for_its_header": _INFO,
    "info::describes_overlays_and_raw_images": _INFO,
    "info::describes_snapshots": _INFO,
    "info::describes_snapshots_of_a_running_machine": _INFO,
    "mutations::sees_mutations_as_qemu_does": _INFO,
    "random::random_options_give_what_qemu_img_gives": "QEMU 7.2 refuses sizes with many decimals",
    "record::info_describes_a_clone_as_qemu_img_does": _INFO,
}
