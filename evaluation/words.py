"""What the figures of a report say, and what each of them misses."""

from textwrap import dedent


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in dedent(text).split("\n\n"))


SAMPLES = _paragraphs(
    """
    Samples are compared with the test images in the features of a classifier of these data. Where both have one
    distribution, distances are 0, precision, recall, density and coverage near 1, and both 1-NN accuracies near 50%.
    The grey row "real" is one half of the test images, measured against the other: what a perfect model would reach.
    Behind each value stands one standard error, over the samples; those of precision, recall, density and coverage take
    examples as independent, though all share the same balls, and are up to twice too small.

    What they miss: the classifier looks for classes, and hardly minds whether strokes are sharp. The Fréchet distance
    sees means and covariances alone. Blurred samples can have a high precision, noisy ones a high recall: read both.
    "Near to a training image" is the share of samples that lie nearer to a training image than 99% of the test images
    do; blurred samples lie near to many.
    """
)
RECONSTRUCTIONS = _paragraphs(
    """
    Mean squared error per pixel of the test images, in [0, 1] units, beside principal components of as many numbers as
    the code has: the best linear code. The Fréchet distance sees blur that the error hardly counts.

    What they miss: a wide code reconstructs everything, and need not know anything about the data.
    """
)
CODES = _paragraphs(
    """
    Test accuracy of logistic regression on the codes of a few thousand labelled training images, over three draws of
    these, beside the same network untrained and beside the pixels themselves; and of the 10 nearest neighbours.

    What they miss: a conditional model's code need not hold the class. Its encoder is given the class, so a probe may
    find it there all the same.
    """
)
LIKELIHOOD = _paragraphs(
    """
    Nats of densities over [0, 1] pixels and of Bernoulli variables are on different scales, and stand in different
    tables. The error is over images, and the estimator's own. A bound that rests on few effective draws is too low.

    What they miss: what samples look like hardly matters to a likelihood. Of grey images Bernoulli nats are no
    likelihood at all: they order models of that kind, and nothing more. A conditional model is told the class, which is
    worth up to 2.3 nats where there are ten.
    """
)
