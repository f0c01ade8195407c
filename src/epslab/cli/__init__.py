"""The command line, with one verb per task: ``epslab train vae --data digits``.

Each verb is a module with a ``run(arguments)``; its docstring's first line is the verb's line in the help. Only the
chosen verb's parser is built, and whatever is heavy is imported when the verb starts to work, so help is instant.
"""

import os
import sys
from collections.abc import Sequence
from itertools import pairwise

from epslab import __version__
from epslab.cli import attack, data, evaluate, report, runs, sample, study, tour, train
from epslab.cli.gates import GateFailed
from epslab.cli.signals import ended_by_signals
from epslab.cli.streams import write_plainly
from epslab.errors import UserError, as_flags, unknown
from epslab.files import FULL

_MODULES = (tour, train, sample, evaluate, attack, report, runs, study, data)
VERBS = {module.__name__.rpartition(".")[2]: module for module in _MODULES}

_HELP = """\
usage: epslab VERB [options]

Trains deep generative models and image classifiers, attacks and defends the classifiers,
and measures all of them with numbers that can be trusted.

verbs:
{verbs}

options, after any verb:
  -h, --help  the verb's options, with units and defaults
  --debug     show the traceback of an error, not only its sentence
  --version   print the version

exit codes:
  0    done
  2    what was asked for cannot work; one sentence says why
  3    a gate failed (`epslab attack --fail-below`, `--fail-on-findings`)
  130  interrupted; what was begun can be resumed
  141  the reader of a pipe left

example:
  epslab train vae --data digits --epochs 10
  epslab evaluate runs/vae-digits
  epslab report runs/vae-digits
  epslab train small-cnn --data digits
  epslab attack runs/small-cnn-digits --attacks random,fgsm,pgd --radius 8/255
"""
_USER_ERROR, _GATE_FAILED, _INTERRUPTED, _BROKEN_PIPE = 2, 3, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after ``epslab``; None for the process's own.

    Returns:
        The exit code: 0 done; 2 what the user gave cannot work (one sentence on stderr says why); 3 a gate failed;
        130 interrupted; 141 the reader of a pipe left. Any other exception is a fault of epslab's and is raised.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    write_plainly()
    try:
        _require_text(words)
        with ended_by_signals():
            _dispatch([word for word in words if word != "--debug"])
            sys.stdout.flush()
    except UserError as error:
        return _fail(str(error), error, debug)
    except GateFailed as gate:
        print(f"epslab: {gate}", file=sys.stderr)
        return _GATE_FAILED
    except BrokenPipeError:
        # The interpreter flushes stdout once more as it ends: into nothing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except OSError as error:
        if error.filename is None:  # no file or folder of the user's
            raise
        if error.errno in FULL:
            return _fail(f"The disk is full ('{error.filename}'); free some space, and go on.", error, debug)
        reason = f"'{error.filename}' cannot be used ({error.strerror})"
        return _fail(f"{reason}; mend that, or choose another folder.", error, debug)
    except KeyboardInterrupt as interrupt:
        print(f"epslab: {as_flags(str(interrupt)) or 'Interrupted.'}", file=sys.stderr)
        return _INTERRUPTED
    except SystemExit as end:  # help and version have been printed
        return end.code if isinstance(end.code, int) else 0
    return 0


def _dispatch(words: list[str]) -> None:
    verb = words[0] if words else "--help"
    if verb in ("-h", "--help"):
        lines = (f"  {name:<10}  {(module.__doc__ or '').splitlines()[0]}" for name, module in VERBS.items())
        print(_HELP.format(verbs="\n".join(lines)), end="")
    elif verb == "--version":
        print(f"epslab {__version__}")
    elif verb in VERBS:
        VERBS[verb].run(words[1:])
    elif verb.startswith("-"):
        raise UserError(f"The verb comes first, before '{verb}': epslab VERB [options], with {', '.join(VERBS)}.")
    else:
        raise unknown("verb", verb, VERBS)


def _require_text(words: Sequence[str]) -> None:
    """Check that every word of the command is a text, and not empty."""
    for before, word in pairwise(["", *words]):
        flag, equals, value = word.partition("=") if word.startswith("-") else (before, "", word)
        if not value and (equals or not word):
            what = f"The value of {flag}" if flag.startswith("-") else "A word of the command"
            raise UserError(f"{what} is empty (an unset variable of the shell?); give it, or leave it out.")
        try:
            word.encode()
        except UnicodeEncodeError as error:  # bytes that Python could not decode
            raise UserError(f"{word!r} is not UTF-8 text; give names that are.") from error


def _fail(sentence: str, error: Exception, debug: bool) -> int:
    if debug:
        raise error
    print(f"epslab: {' '.join(as_flags(sentence).split())}", file=sys.stderr)
    return _USER_ERROR
