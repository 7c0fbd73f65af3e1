"""How well two views show the same scene, by local features."""

import cv2
import numpy as np

FEATURES = 1000  # of a view, at most
LONGEST = 1024  # pixels a side; larger views are reduced
LEAST_INLIERS = 8  # four pairs fix a homography, so fewer than twice as many agree by chance
ERROR = 1 / 128  # of the longer side, within which a pair agrees: cameras that distort are no exact homography


def match(left: np.ndarray, right: np.ndarray) -> float:
    """The share of the matching features that agree on one mapping of the left view to the right one: 0 to 1.

    Features are ORB (Rublee et al. 2011, "ORB: an efficient alternative to SIFT or SURF"), matched where each is the
    other's nearest; the mapping is a homography found by RANSAC (Fischler and Bolles 1981).

    Args:
        left, right: uint8, height x width, luma, of any sizes.

    Returns:
        0 if fewer than LEAST_INLIERS agree, as for views without texture.
    """
    orb = cv2.ORB.create(FEATURES)
    left, right = _reduced(left), _reduced(right)
    (left_points, left_features), (right_points, right_features) = (
        orb.detectAndCompute(view, None) for view in (left, right)
    )
    if left_features is None or right_features is None:
        return 0.0
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(left_features, right_features)
    if len(pairs) < LEAST_INLIERS:
        return 0.0
    sources = np.array([left_points[pair.queryIdx].pt for pair in pairs], np.float32)
    targets = np.array([right_points[pair.trainIdx].pt for pair in pairs], np.float32)
    _, inliers = cv2.findHomography(sources, targets, cv2.RANSAC, ERROR * max(right.shape), maxIters=2000)
    count = 0 if inliers is None else int(inliers.sum())
    return count / len(pairs) if count >= LEAST_INLIERS else 0.0


def _reduced(view: np.ndarray) -> np.ndarray:
    scale = LONGEST / max(view.shape)
    if scale >= 1:
        return view
    size = max(1, round(view.shape[1] * scale)), max(1, round(view.shape[0] * scale))
    return cv2.resize(view, size, interpolation=cv2.INTER_AREA)
