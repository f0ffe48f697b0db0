"""Order statistics of small arrays inside compiled loops."""

import numpy as np

from utils.compiled import compiled


@compiled
def kth(values: np.ndarray, k: int, left: int, right: int) -> float:
    """The value that would stand at k if left..right were sorted; smaller ones then lie before it."""
    while left < right:
        pivot = values[(left + right) // 2]
        edge = left
        for i in range(left, right + 1):  # without a branch, which side it is cannot be guessed
            value = values[i]
            values[i] = values[edge]
            values[edge] = value
            edge += int(value < pivot)
        if k < edge:
            right = edge - 1
        elif edge > left:
            left = edge
        else:  # the pivot is the least: all that equal it are in place at once
            for i in range(left, right + 1):
                value = values[i]
                values[i] = values[edge]
                values[edge] = value
                edge += int(value == pivot)
            if k < edge:
                return pivot
            left = edge
    return values[k]


@compiled
def median(values: np.ndarray) -> float:
    """Median; reorders the array."""
    half = values.size // 2
    upper = kth(values, half, 0, values.size - 1)
    return upper if values.size % 2 else (upper + values[:half].max()) / 2
