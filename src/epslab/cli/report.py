"""Put runs and studies on one self-contained page."""

from collections.abc import Sequence
from pathlib import Path

from epslab.cli.parsing import Parser
from epslab.cli.terminal import summary
from epslab.files import PAGE, check_output


def run(arguments: Sequence[str]) -> None:
    """Write the page, and print where it is.

    Raises:
        UserError: A folder holds no run, attack or study, or the page cannot be written.
    """
    parser = Parser(
        "report",
        "Put runs on one self-contained HTML page: settings, curves, pictures, numbers, how to repeat them.",
        "epslab report runs/vae-digits runs/vae-digits-2 --out comparison.html",
    )
    parser.add_argument(
        "runs",
        nargs="+",
        type=str,
        metavar="RUN",
        help="folders of runs (with the attacks on them), attacks or studies",
    )
    page = "page to write (default: report.html in the first folder)"
    parser.add_argument("--out", type=str | None, metavar="FILE", help=page)
    values = parser.read(arguments)
    folders = [Path(folder) for folder in values["runs"]]
    out = check_output(values["out"] or folders[0] / "report.html", PAGE)

    from epslab.report import write_report
    from epslab.runs import number

    write_report(folders, out)
    summary(f"Wrote {out}", {"folders": str(len(folders)), "size": f"{number(out.stat().st_size / 1e6)} MB"})
