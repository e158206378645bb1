"""bind - listens on some addresses instead of on all.

Syntax:
    ```
    bind ADDRESS|INTERFACE... {
        except ADDRESS|INTERFACE...
    }
    ```

Several lines add up. An interface stands for all addresses that it has when the Corefile is read.

- `except`: takes addresses out again.

Examples:
    ```
    .:1053 {
        bind 127.0.0.1 ::1
    }
    ```
    ```
    .:1053 {
        bind lo {
            except ::1
        }
    }
    ```
"""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

import ifaddr

from svcdns.chain import Environment, Plugin
from svcdns.corefile import Directive
from svcdns.corefile.blocks import Statement


def setup(directives: Sequence[Directive], environment: Environment) -> Plugin:
    """Ask for the block's listeners to be at the addresses that the directives name."""
    for directive in directives:
        if not directive.words:
            raise directive.expected("ADDRESS|INTERFACE...")
        excepted: set[str] = set()
        for option in directive.options:
            if option.name != "except":
                raise option.unknown(("except",))
            if not option.words:
                raise option.expected("ADDRESS|INTERFACE...")
            excepted.update(_addresses(option, option.words))
        left = [address for address in _addresses(directive, directive.words) if address not in excepted]
        if not left:
            raise directive.error("no address is left to listen on")
        environment.listen(directive, left)
    return Plugin()


def _addresses(statement: Statement, words: Iterable[str]) -> list[str]:
    found = []
    for word in words:
        try:
            found.append(str(ip_address(word)))
        except ValueError:
            found += _of_interface(statement, word)
    return found


def _of_interface(statement: Statement, name: str) -> list[str]:
    """Return an interface's addresses; link-local IPv6 ones with the interface, without which they mean nothing."""
    for adapter in ifaddr.get_adapters():
        if adapter.nice_name == name:
            texts = [each.ip if isinstance(each.ip, str) else each.ip[0] for each in adapter.ips]
            return [f"{text}%{name}" if ip_address(text).is_link_local and ":" in text else text for text in texts]
    raise statement.error(f"found {name!r}, expected an IP address or the name of an interface of this machine")
