"""Nodes that boot through UEFI firmware, from their disk."""

import json
import os
import socket
import subprocess

from guest import Guest, blockdevs

# A variable of the firmware, as Linux shows it.
VARIABLE = "/sys/firmware/efi/efivars/Fixture-6f0a1a52-0d5e-4d4c-9b0b-5a7f7a1d0005"
MOUNT_VARIABLES = "mount -t efivarfs efivarfs /sys/firmware/efi/efivars"


def raw(node_name, path, read_only):
    """QEMU's option for a raw image: firmware, or its variables."""
    value = {"driver": "file", "filename": path, "node-name": node_name, "read-only": read_only}
    return ["-blockdev", json.dumps(value)]


class UefiNode(Guest):
    """A node with firmware, variables that it keeps, virtio disks, and perhaps a TPM and a network.

    `variables` and `tpm_state` are paths of copies. `network` is one end of a socket pair, with
    another node at the other end.
    """

    def __init__(self, name, firmware, variables, disks, tpm_state=None, network=None):
        arguments = ["-accel", "tcg", "-machine", "pc-q35-10.0,pflash0=firmware,pflash1=variables"]
        arguments += ["-cpu", "qemu64-v1", "-m", "512M", "-device", "vmgenid,guid=auto"]
        arguments += raw("firmware", firmware, read_only=True) + raw("variables", variables, read_only=False)
        arguments += blockdevs(disks)
        for number in range(1, len(disks) + 1):
            # The firmware boots from the first one.
            arguments += ["-device", f"virtio-blk,drive=disk{number},serial=disk{number},bootindex={number}"]
        ends = []
        if network:
            # The hardware address ends with the number of the node.
            address = f"52:54:00:00:00:0{name[-1]}"
            arguments += ["-netdev", f"stream,id=net,addr.type=fd,addr.str={network.fileno()}"]
            arguments += ["-device", f"virtio-net,netdev=net,mac={address},romfile="]
            ends.append(network)
        else:
            arguments += ["-nic", "none"]
        self._tpm = None
        if tpm_state:
            of_qemu, of_tpm = socket.socketpair()
            self._tpm = start_tpm(tpm_state, of_tpm)
            arguments += ["-chardev", f"socket,id=tpm,fd={of_qemu.fileno()}"]
            arguments += ["-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm"]
            ends.append(of_qemu)
        super().__init__(name, *arguments, pass_fds=[end.fileno() for end in ends])
        for end in ends:
            end.close()

    def kill(self):
        super().kill()
        if self._tpm:
            # It ends with its connection to QEMU.
            self._tpm.wait()


def start_tpm(state, end):
    """Starts a software TPM that keeps its state in the directory `state`."""
    command = ["setpriv", "--pdeathsig", "KILL", "swtpm", "socket", "--tpm2", "--terminate"]
    command += ["--tpmstate", f"dir={state}", "--ctrl", f"type=unixio,clientfd={end.fileno()}"]
    tpm = subprocess.Popen(command, pass_fds=[end.fileno()])
    end.close()
    return tpm


def variables(name):
    """The private writable copy of this name that `qcow2_test` has made."""
    return os.environ[name + "_VARS"]
