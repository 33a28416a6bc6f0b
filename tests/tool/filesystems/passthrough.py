"""Shows a directory through FUSE, as a file system with neither hard links nor RENAME_NOREPLACE.

    passthrough.py DIRECTORY MOUNTPOINT [ERROR ROOM | race]

After ROOM bytes, writes succeed and are lost. Like a server that has no room left, it reports
ERROR, such as EDQUOT, only when the file is synced or closed.

With `race`, another process takes a name as soon as a link to it has failed.
"""

import errno
import os
import sys

from mfusepy import FUSE, FuseOSError, Operations


class Passthrough(Operations):
    use_ns = True

    def __init__(self, directory, error="EDQUOT", room=sys.maxsize):
        self.directory = os.path.realpath(directory)
        self.error = getattr(errno, error)
        self.room = int(room)
        # The handles of files of which something is lost.
        self.lost = set()

    def real(self, path):
        return self.directory + path

    def link(self, new, old):
        raise FuseOSError(errno.EPERM)

    def getattr(self, path, handle=None):
        status = os.fstat(handle) if handle else os.lstat(self.real(path))
        names = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks", "st_ino")
        times = ("st_atime", "st_mtime", "st_ctime")
        return {name: getattr(status, name) for name in names} | {t: getattr(status, t + "_ns") for t in times}

    def statfs(self, path):
        status = os.statvfs(self.real(path))
        return {name: getattr(status, name) for name in dir(status) if name.startswith("f_") and name != "f_fsid"}

    def readdir(self, path, handle):
        return [".", "..", *os.listdir(self.real(path))]

    def mkdir(self, path, mode):
        os.mkdir(self.real(path), mode)

    def rmdir(self, path):
        os.rmdir(self.real(path))

    def unlink(self, path):
        os.unlink(self.real(path))

    def rename(self, old, new):
        os.rename(self.real(old), self.real(new))

    def chmod(self, path, mode):
        os.chmod(self.real(path), mode)

    def chown(self, path, user, group):
        os.lchown(self.real(path), user, group)

    def utimens(self, path, times=None):
        os.utime(self.real(path), ns=times)

    def create(self, path, mode):
        return os.open(self.real(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, path, flags):
        return os.open(self.real(path), flags)

    def read(self, path, size, offset, handle):
        return os.pread(handle, size, offset)

    def write(self, path, data, offset, handle):
        if len(data) > self.room:
            self.lost.add(handle)
            return len(data)
        self.room -= len(data)
        return os.pwrite(handle, data, offset)

    def truncate(self, path, length, handle=None):
        os.truncate(handle or self.real(path), length)

    def flush(self, path, handle):
        if handle in self.lost:
            raise FuseOSError(self.error)

    def fsync(self, path, datasync, handle):
        self.flush(path, handle)
        os.fsync(handle)

    def release(self, path, handle):
        self.lost.discard(handle)
        os.close(handle)


class Fuse(FUSE):
    def rename_fuse_3(self, old, new, flags):
        """What libfuse 3 calls. mfusepy would ignore RENAME_NOREPLACE."""
        if flags:
            raise FuseOSError(errno.EINVAL)
        return self.rename_fuse_2(old, new)


class Race(Passthrough):
    def link(self, new, old):
        with open(self.real(new), "x") as file:
            print("precious", file=file)
        super().link(new, old)


directory, mountpoint, *fault = sys.argv[1:]
Fuse(
    Race(directory) if fault == ["race"] else Passthrough(directory, *fault),
    mountpoint,
    nothreads=True,
    hard_remove=True,
    allow_other=True,
    default_permissions=True,
)
