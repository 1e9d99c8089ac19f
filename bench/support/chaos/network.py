"""Two machines in one, and a bad network between them: what TCP does about it is the system's own.

Each machine is a network namespace. Its only way out is a TUN device; what the system sends into one is read here,
packet by packet, and written into the other one's, late, or not at all. So losses are for TCP to notice, to make good
and to slow down for. Linux, as root, with iproute2; elsewhere ``link_proxy`` stands in.
"""

import contextlib
import ctypes
import fcntl
import os
import random
import select
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self, TypeVar

CLONE_NEWNET: Final = 0x40000000
TUNSETIFF: Final = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
"""linux/sched.h, linux/if_tun.h: packets of IP without a header of their own."""
DEVICE: Final = "wire"
ADDRESSES: Final = ("10.77.0.1", "10.77.0.2")
MOST_PACKET: Final = 1 << 16
AT_ONCE: Final = 64
QUEUE: Final = 10_000
"""Packets that may wait in a device: what is lost is to be lost here, where it is decided."""
POLL_MS: Final = 20
Result = TypeVar("Result")


class Machine:
    """A network namespace, that of one thread: what this thread does, and what it starts, is in it."""

    def __init__(self, address: str) -> None:
        """``address``: its IPv4 address. Raises OSError where there can be no namespaces."""
        self.address = address
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"machine {address}")
        try:
            self.device = self.do(self._begin)
        except BaseException:
            self._thread.shutdown()
            raise

    def do(self, work: Callable[[], Result]) -> Result:
        """Do something at this machine; programs that it starts run there."""
        return self._thread.submit(work).result()

    def close(self) -> None:
        """Unplug it. What still runs there has no network any more."""
        os.close(self.device)
        self._thread.shutdown()

    def _begin(self) -> int:
        if sys.platform != "linux":
            raise OSError("network namespaces are Linux's")
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, f"no network namespace: {os.strerror(number)}")
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
            for words in (
                "link set lo up",
                f"address add {self.address}/24 dev {DEVICE}",
                f"link set {DEVICE} mtu 1500 txqueuelen {QUEUE} up",
            ):
                subprocess.run(["ip", *words.split()], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            os.close(device)
            raise OSError(f"ip {words}: {error.stderr.decode().strip()}") from error
        except BaseException:
            os.close(device)
            raise
        return device


class LossyNetwork:
    """Two machines and the wire between them."""

    def __init__(self, *, delay_s: float = 0.0, lost: float = 0.0, seed: int = 0) -> None:
        """``delay_s``: each way. ``lost``: share of packets, each way. Raises OSError where it cannot be."""
        self.carried = bytearray()
        """What TCP carried, in either direction, as somebody with access to the wire sees it."""
        self.packets_lost = 0
        self._delay_s, self._lost, self._random = delay_s, lost, random.Random(seed)
        self._cut, self._closing = threading.Event(), threading.Event()
        self.far = Machine(ADDRESSES[0])
        try:
            self.near = Machine(ADDRESSES[1])
        except BaseException:
            self.far.close()
            raise
        self._thread = threading.Thread(target=self._carry, name="wire")
        self._thread.start()

    def cut(self) -> None:
        """Carry nothing from now on, as a pulled cable."""
        self._cut.set()

    def restore(self) -> None:
        """Carry again."""
        self._cut.clear()

    def close(self) -> None:
        """Unplug both machines."""
        self._closing.set()
        self._thread.join()
        self.far.close()
        self.near.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _carry(self) -> None:
        ends = (self.far.device, self.near.device)
        under_way: Sequence[deque[tuple[float, bytes]]] = (deque(), deque())
        poller = select.poll()
        for device in ends:
            poller.register(device, select.POLLIN)
        while not self._closing.is_set():
            firsts = [packets[0][0] for packets in under_way if packets]
            wait_ms = max(0.0, 1000 * (min(firsts) - time.monotonic())) if firsts else POLL_MS
            poller.poll(min(POLL_MS, wait_ms))
            for side in (0, 1):
                self._take(ends[side], under_way[side])
                _deliver(under_way[side], ends[1 - side])

    def _take(self, device: int, under_way: deque[tuple[float, bytes]]) -> None:
        """Take in what a machine has sent."""
        due_s = time.monotonic() + self._delay_s
        for _ in range(AT_ONCE):
            try:
                packet = os.read(device, MOST_PACKET)
            except BlockingIOError:
                return
            self.carried += _payload(packet)
            if self._cut.is_set() or self._random.random() < self._lost:
                self.packets_lost += 1
            else:
                under_way.append((due_s, packet))


def _deliver(under_way: deque[tuple[float, bytes]], device: int) -> None:
    """Hand over what has been under way for long enough."""
    now_s = time.monotonic()
    while under_way and under_way[0][0] <= now_s:
        with contextlib.suppress(OSError):  # a full device: lost, as on any network
            os.write(device, under_way.popleft()[1])


def _payload(packet: bytes) -> bytes:
    """Return what TCP carries in a packet; empty for any other packet (RFC 791, RFC 9293)."""
    ip_bytes = 4 * (packet[0] & 15)
    if packet[0] >> 4 != 4 or packet[9] != 6:
        return b""
    return packet[ip_bytes + 4 * (packet[ip_bytes + 12] >> 4) :]
