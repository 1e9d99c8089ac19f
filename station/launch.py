"""The beginning of a run: its processes are started before this one loads what it shows them with.

It imports as little as they need (``station.processes.launch``); the run itself is ``station.run``.
"""

from collections.abc import Mapping

from station.limits import require_open_files
from station.options import Options
from station.processes.launch import launched
from station.processes.signals import StopRequest
from station.startup import guarded_imports
from station.transport.control_messages import ProcessName


def launch(options: Options, processes: Mapping[str, str], optional: Mapping[str, str]) -> int:
    """Run the station, from the start of the first process to the end of the last. Raises StationError.

    ``processes``, ``optional``: the module that each runs, by its name; a run goes on without the optional ones.
    """
    require_open_files()
    modules = {ProcessName(name): module for name, module in processes.items()}
    extras = {ProcessName(name): module for name, module in optional.items()}
    modules |= {name: extras[name] for name in extras if name.value in options.config.extras}
    stop = StopRequest()
    with launched(options.config, modules) as first:
        with guarded_imports():
            from station.run import run  # while they load
        return run(options, modules, extras, stop, first)
