"""A report as one page of HTML that loads nothing from anywhere."""

from .page import page

__all__ = ["page"]
