"""One self-contained page of run folders and studies: no scripts, no requests, images inline, text escaped.

``write_report(folders, out)`` makes a page from folders; ``write(Page(…), out)`` writes any page, with sections made by
``run_section``, ``study_section`` or by hand.
"""

from epslab.report.blocks import Image, Page, Picture, Section
from epslab.report.comparison import comparison
from epslab.report.gather import write_report
from epslab.report.measured import headline
from epslab.report.page import render, write
from epslab.report.robustness import AuditFolder
from epslab.report.study import StudyResult, study_section
from epslab.report.training_run import run_section
from epslab.runs import Cell, Table, number, with_error

__all__ = [
    "AuditFolder",
    "Cell",
    "Image",
    "Page",
    "Picture",
    "Section",
    "StudyResult",
    "Table",
    "comparison",
    "headline",
    "number",
    "render",
    "run_section",
    "study_section",
    "with_error",
    "write",
    "write_report",
]
