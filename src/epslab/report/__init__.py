"""Run folders and studies to one self-contained page: no scripts, no requests, images inline.

``write(Page(title, lead, sections), out)`` writes any page; ``write_report(runs, out)`` makes one from run folders
alone; ``study_section`` turns a study into a section.
"""

from epslab.report.blocks import Cell, Image, Page, Picture, Section, Table, number
from epslab.report.study import StudyResult, study_section

__all__ = ["Cell", "Image", "Page", "Picture", "Section", "StudyResult", "Table", "number", "study_section"]
