"""Measuring completions: metrics, a fixed protocol, classical baselines, reports and sheets.

Everything that completes images is the same kind of callable here, :data:`protocol.Method`:
``fill(image, mask) -> image``. Nothing in this package needs torch or imports training.
"""
