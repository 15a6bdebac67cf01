"""A run becomes a model: one ONNX file with its card, compared with the network before it is kept.

``model`` exports and writes cards, ``rewrite`` makes graphs faster without changing their function,
``quantize`` makes them smaller.
"""
