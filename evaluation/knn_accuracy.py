"""Accuracy of the nearest neighbours: how far classes lie apart, as one number."""

import numpy as np


def knn_accuracy(points: np.ndarray, labels: np.ndarray, k: int = 10) -> float:
    """Share of points whose class most of their k nearest neighbours have; each point is left out of its own.

    Where m classes have equally many of the neighbours, and the point's own is one of them, it counts 1 / m: what
    tossing a coin would give on average. 10,000 points of 20 dimensions take about a second.

    Args:
        points: (N, D), finite, at least two.
        labels: (N,) whole numbers.
        k: neighbours, by Euclidean distance; with N - 1 or fewer other points all of them.

    Returns:
        In [0, 1]; about the sum of the squared class shares where the points know nothing of the classes.

    Raises:
        ValueError: fewer than two points, another number of labels, `k` below 1.

    Source: T. Cover, P. Hart, IEEE Transactions on Information Theory 13(1), 1967; leave-one-out.

    Example:
        >>> knn_accuracy(np.array([[0.0], [0.1], [0.2], [5.0], [5.1]]), np.array([0, 0, 0, 1, 1]), k=1)
        1.0
    """
    # here, since every start of every command would wait for it
    from sklearn.neighbors import NearestNeighbors

    if len(points) < 2 or len(points) != len(labels) or k < 1:
        raise ValueError(
            "knn_accuracy needs at least two points, a label for each and k of at least 1, "
            f"got {len(points)} points, {len(labels)} labels and k={k}"
        )
    classes, own = np.unique(labels, return_inverse=True)
    # without an argument kneighbors leaves each point out, also where others lie on it
    indices = NearestNeighbors(n_neighbors=min(k, len(points) - 1)).fit(points).kneighbors(return_distance=False)
    votes = np.zeros((len(points), len(classes)), dtype=np.int64)
    np.add.at(votes, (np.arange(len(points))[:, None], own[indices]), 1)  # (N, k) -> (N, K)
    wins = votes == votes.max(1, keepdims=True)
    return float((wins[np.arange(len(points)), own] / wins.sum(1)).mean())
