"""A machine of a network, on this machine: a network, processes, a name and a disk that no other machine sees."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

PROGRAMS = ("ip", "unshare", "nsenter", "setpriv")
SWITCH = "switch"
_NETWORK = "10.77.0"
_START_SECONDS = 30
# Names are resolved as on a real machine: the machine's own name is its address, not loopback.
_SET_UP = """
set -e
hostname "$1"
mount -t tmpfs none "$2"
mkdir "$2/tmp" "$2/home"
printf '127.0.0.1 localhost\\n%s %s\\n' "$3" "$1" > "$2/hosts"
mount --bind "$2/hosts" /etc/hosts
ip link set lo up
touch "$2/ready"
exec sleep infinity
"""


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


class Machine:
    """Namespaces of Linux for network, processes, mounts and name. Needs root.

    ``disk`` is an existing folder: as the machine sees it, it is an empty disk of its own, with folders ``tmp`` and
    ``home``. The first machine has a switch, to which those that give it as ``switch`` are connected.
    """

    def __init__(self, name: str, number: int, disk: Path, switch: Machine | None = None) -> None:
        self.name, self.disk, self.address = name, disk, f"{_NETWORK}.{number}"
        separate = ("--net", "--mount", "--uts", "--pid", "--mount-proc")
        # It ends with the tests, however they end.
        command = [
            "setpriv",
            "--pdeathsig=KILL",
            "unshare",
            *separate,
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            _SET_UP,
            "sh",
            name,
            disk,
            self.address,
        ]
        self._process = subprocess.Popen(command)
        try:
            self._init = self._await_start()
            self._connect(switch)
        except BaseException:
            self.kill()
            raise

    @property
    def inside(self) -> list[str]:
        """The words before a command that is to run on this machine."""
        return [*self.network, "--mount", "--uts"]

    @property
    def network(self) -> list[str]:
        """The words before a command that is to run in its network and to die with it, on the disk of the tests."""
        return ["nsenter", f"--target={self._init}", "--net", "--pid"]

    def seen(self, path: Path) -> Path:
        """The name under which the tests see a path of this machine."""
        return Path(f"/proc/{self._init}/root", *path.parts[1:])

    def run(self, *command: str | Path, environment: Mapping[str, str] | None = None) -> str:
        """Run a command to its end and return what it prints; fail unless it ends with 0."""
        words = [*self.inside, *command]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, f"{self.name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def kill(self) -> None:
        """End everything on it at once, as a power failure does."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _await_start(self) -> int:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            for child in children.read_text().split():
                if Path(f"/proc/{child}/root", *self.disk.parts[1:], "ready").exists():
                    return int(child)
            time.sleep(0.02)
        raise RuntimeError(
            f"the machine {self.name} did not start; expected root's right to make namespaces (unshare --net --mount)"
        )

    def _connect(self, switch: Machine | None) -> None:
        if switch is None:
            self.run("ip", "link", "add", SWITCH, "type", "bridge")
            device = SWITCH
        else:
            device, port = "cable", f"to-{self.name}"
            ends = ("name", port, "netns", str(switch._init), "type", "veth", "peer", "name", device)
            _ip("link", "add", *ends, "netns", str(self._init))
            switch.run("ip", "link", "set", port, "master", SWITCH, "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", device)
        self.run("ip", "link", "set", device, "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
