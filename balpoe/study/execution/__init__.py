"""The execution of trials by Ray Tune; the only package of the study that imports Ray."""
