"""Training: the steps, the loop over the stages, checkpoints (extra ``train``)."""
