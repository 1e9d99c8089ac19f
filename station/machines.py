"""The command ``keys``: this machine's key pair, and the machines that are let in. The files are another module's."""

from collections.abc import Sequence
from typing import Final

from station.command_line import Parser, invocation
from station.notice import NOTICE
from station.output import say
from station.transport import machine_keys

DESCRIPTION: Final = """Keys for a link between two machines: one with the microscope, one that grades
(docs/two-machines.md). A machine is let in only where its public key is authorised, on both sides."""


def keys(argv: Sequence[str]) -> int:
    """Make, list, authorise or remove keys."""
    parser = Parser(prog=f"{invocation()} keys", description=f"{DESCRIPTION} {NOTICE}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    make = commands.add_parser("make", help="make this machine's pair and show its public key")
    make.add_argument("name", metavar="NAME", help="what the other machine will call this one, such as microscope")
    commands.add_parser("list", help="show this machine's public key and the machines that are let in")
    authorise = commands.add_parser("authorise", help="let another machine in")
    authorise.add_argument("name", metavar="NAME", help="its name")
    authorise.add_argument("key", metavar="KEY", help="its public key, as `keys make` showed it there")
    remove = commands.add_parser("remove", help="let another machine in no longer")
    remove.add_argument("name", metavar="NAME", help="its name")
    given = parser.parse_args(argv)
    if given.command == "make":
        public = machine_keys.make(given.name)
        say(f"public key of {given.name}, to be authorised on the other machine:\n{public}")
        say(f"the secret key is in {machine_keys.folder() / 'own.json'} and leaves this machine never")
    elif given.command == "authorise":
        machine_keys.authorise(given.name, given.key)
        say(f"{given.name} is let in; programs that run already do so when they are started again")
    elif given.command == "remove":
        machine_keys.remove(given.name)
        say(f"{given.name} is let in no longer; end the programs that let it in")
    else:
        _list()
    return 0


def _list() -> None:
    name, public = machine_keys.own_public()
    say(f"this machine  {name}  {public}" if name else "this machine has no keys yet (`keys make NAME`)")
    for other, key in machine_keys.authorised().items():
        say(f"let in        {other}  {key}")
