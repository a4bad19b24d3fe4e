"""Measures of quality: pure functions on tensors, and the page that shows them."""

from evaluation.classes import agreement, class_counts, total_variation
from evaluation.codes import pca_errors, probe_accuracy
from evaluation.distances import frechet_at_infinity, frechet_distance, frechet_estimate, kernel_distance
from evaluation.estimate import Estimate
from evaluation.knn_accuracy import knn_accuracy
from evaluation.neighbours import Neighbourhoods, nearest, neighbourhoods, share_of_copies, two_sample_accuracy
from evaluation.of_places import measure_boxes, measure_masks

__all__ = [
    "Estimate",
    "Neighbourhoods",
    "agreement",
    "class_counts",
    "frechet_at_infinity",
    "frechet_distance",
    "frechet_estimate",
    "kernel_distance",
    "knn_accuracy",
    "measure_boxes",
    "measure_masks",
    "nearest",
    "neighbourhoods",
    "pca_errors",
    "probe_accuracy",
    "share_of_copies",
    "total_variation",
    "two_sample_accuracy",
]
