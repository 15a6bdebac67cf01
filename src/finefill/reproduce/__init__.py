"""The paper's tables and figures again: variants, one queue of trainings, measures, a page.

Reads top to bottom: :mod:`variants` says what is trained, :mod:`experiments` what is compared,
:mod:`queue` trains, :mod:`measure` scores, :mod:`page` writes.
"""
