"""What the figures of a report say, and what each of them misses."""

from textwrap import dedent


def _paragraphs(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in dedent(text).split("\n\n"))


SAMPLES = _paragraphs(
    """
    Samples are compared with the test images in the features of a classifier of these data. Arrows say which way
    is better. Behind each value stands one standard error, over the samples; those of precision, recall, density
    and coverage take examples as independent, and are up to twice too small.

    Grey rows are no models. "real" is one half of the test images, measured against the other: what a perfect
    model would reach. "training images" are what a model that only remembers would give. "Gaussian" draws pixels
    from one Gaussian, "Gaussian a class" from one for each class.

    Fréchet distance: between Gaussians with the features' means and covariances; it falls as N grows, so compare
    rows of one N, or the value for N → ∞. Kernel distance: squared difference of mean features of a kernel. The
    last two are unbiased, and near 0 may be below it. Class shares: half the summed difference between the classes
    that the classifier sees and those of the test images, or those asked for. Near to a training image: share of
    samples that lie nearer to a training image, in pixels, than 99% of the test images do.

    Around each real image is a ball that reaches to its fifth nearest real neighbour. Precision: share of samples
    in some ball. Density: mean number of balls that a sample lies in, divided by 5; above 1 samples crowd where
    data are dense. Coverage: share of balls with a sample in them. Recall: share of real images in a ball around
    some sample. 1-NN accuracy: how often the nearest other image is of its own kind, for samples and for real
    images; 50% is best, 100% means that the two lie apart.

    What they miss: the classifier looks for classes, and hardly minds whether strokes are sharp. The Fréchet
    distance sees means and covariances alone. Blurred samples can have a high precision, noisy ones a high recall:
    read both. Blurred samples lie near to many training images.
    """
)
RECONSTRUCTIONS = _paragraphs(
    """
    Mean squared error per pixel of the test images, in [0, 1] units, beside principal components of as many
    numbers as the code has, cut to [0, 1]: the best linear code. The Fréchet distance sees blur that the error hardly
    counts.

    What they miss: a wide code reconstructs everything, and need not know anything about the data.
    """
)
CODES = _paragraphs(
    """
    Test accuracy of logistic regression on the codes of labelled training images, over several draws of these,
    beside the same network untrained and beside the pixels themselves; and of the 10 nearest neighbours. A unit is
    active where its mean varies by more than .01 over the test images.

    What they miss: a conditional model's code need not hold the class, but its encoder is given it, so that a
    probe may find it there all the same.
    """
)
LIKELIHOOD = _paragraphs(
    """
    Nats of densities over [0, 1] pixels and of Bernoulli variables are on different scales, and stand in different
    tables. The error is over images, and the estimator's own. A bound that rests on few effective draws (those
    that carry its weight) is too low; the gain of the last doubling says by how much at least.

    What they miss: what samples look like hardly matters to a likelihood. Of grey images Bernoulli nats are no
    likelihood at all: they order models of that kind, and nothing more. A conditional model is told the class,
    which is worth up to 2.3 nats where there are ten.
    """
)

BOXES = _paragraphs(
    """
    Intersection over union (IoU) is the area that the predicted and the true box share over the area that they cover
    together, 1 where they are the same; its mean and error are over test images.

    What it misses: a mean hides whether boxes are all a little off or some of them wholly wrong, which the share
    with an IoU of at least 0.5 tells apart. A model of one box an image says nothing about images with none or with
    many.
    """
)

MASKS = _paragraphs(
    """
    For each class, the pixels that its mask and the prediction share over those that either has, counted over all test
    images; the mean is over classes, so that a rare class counts as much as the background. The error is a jackknife's
    over at most 20 blocks of images. The share of right pixels is a mean over images. Beside them is what a model would
    have that gives every pixel the commonest class of the training masks.

    What they miss: where the background fills most of an image, a model that sees nothing has most pixels right.
    """
)
