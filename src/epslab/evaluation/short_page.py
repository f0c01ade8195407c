"""A short page of tables in one self-contained file; ``epslab.report.write_report`` makes one with pictures."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from epslab.errors import UserError
from epslab.files import PAGE, check_output, write_atomic
from epslab.runs import Table, number

_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --quiet: #59636e; --line: #dfe3e8; }
@media (prefers-color-scheme: dark) { :root { --quiet: #a2abb5; --line: #343b43; } }
body { font: 1rem/1.6 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 2rem 1rem; }
h1 { font-size: 1.75rem; line-height: 1.2; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .95rem; line-height: 1.4; }
th, td { padding: .4rem .8rem .4rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th, .note { color: var(--quiet); }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ lead }}</p>
{% for warning in warnings %}<p><strong>Note:</strong> {{ warning }}</p>
{% endfor %}
{% for table in tables if table.rows %}
<h2>{{ table.title }}</h2>
<div class="scroll" tabindex="0" role="region" aria-label="{{ table.title }}"><table>
<thead><tr>{% for name in table.columns %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}<tr>{% for cell in row %}<td>{{ number(cell) }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{% if table.note %}<p class="note">{{ table.note }}</p>{% endif %}
{% endfor %}
</body>
</html>
"""


def short_page(title: str, lead: str, tables: Sequence[Table], warnings: Sequence[str] = ()) -> str:
    """A page with a heading, a result in one line, reasons to doubt it, and tables; every text is escaped.

    >>> page = short_page("Coins", "Heads in 49.8 % of <n> throws.", [Table("Throws", ("heads",), [(498,)])])
    >>> "<h1>Coins</h1>" in page, "&lt;n&gt;" in page, "<td>498</td>" in page
    (True, True, True)
    """
    return _template().render(title=title, lead=lead, tables=tables, warnings=warnings, number=number)


def written(page: str, out: Path | str | None) -> str:
    """The page, written to ``out`` where that is given.

    Raises:
        UserError: ``out`` cannot be written, does not end in .html, or belongs to a run (``files.check_output``).
    """
    if out is not None:
        file = check_output(out, PAGE)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, page)
        except OSError as error:
            raise UserError(
                f"The page cannot be written to '{out}' ({error.strerror}); choose another `out=`."
            ) from error
    return page


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_TEMPLATE)
