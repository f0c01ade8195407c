"""Run folders and studies to one self-contained page: no scripts, no requests, images inline, text escaped.

``write_report(folders, out)`` makes a page from what the folders hold alone; ``write(Page(…), out)`` writes any other,
from sections made by ``run_section``, ``study_section`` or by hand.
"""

from epslab.report.blocks import Cell, Image, Page, Picture, Section, Table, number
from epslab.report.gather import comparison, write_report
from epslab.report.numbers import with_error
from epslab.report.page import render, write
from epslab.report.study import StudyResult, study_section
from epslab.report.training_run import run_section

__all__ = [
    "Cell",
    "Image",
    "Page",
    "Picture",
    "Section",
    "StudyResult",
    "Table",
    "comparison",
    "number",
    "render",
    "run_section",
    "study_section",
    "with_error",
    "write",
    "write_report",
]
