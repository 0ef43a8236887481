"""Patient and model frames: oblique, flipped and anisotropic grids work, sheared ones are refused, left stays left."""

from __future__ import annotations

import numpy as np
import pytest
from JSDDPMSlicerLib.Geometry import IDENTITY, Placement, gridProblem, lesionCentre


def rotation(rng: np.random.Generator) -> np.ndarray:
    """A rotation drawn evenly, 3 x 3."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def grid(seed: int, flips: tuple[int, ...] = (1, 1, 1)) -> np.ndarray:
    """IJKToRAS of an oblique, anisotropic grid with some axes turned round."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(rng) @ np.diag(np.array(flips) * rng.uniform(0.4, 6.0, 3))
    matrix[:3, 3] = rng.uniform(-200, 200, 3)
    return matrix


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1), (-1, -1, -1)])
@pytest.mark.parametrize("seed", range(5))
def test_oblique_flipped_and_anisotropic_grids_are_taken(seed: int, flips: tuple[int, ...]) -> None:
    assert gridProblem(grid(seed, flips)) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_sheared_grid_is_refused_with_its_angle(seed: int) -> None:
    sheared = grid(seed)
    unit = sheared[:3, :3] / np.linalg.norm(sheared[:3, :3], axis=0)
    sheared[:3, 2] += np.tan(np.radians(12)) * np.linalg.norm(sheared[:3, 2]) * unit[:, 1]
    problem = gridProblem(sheared)
    assert problem is not None
    assert "12.0 degrees away from right angles" in problem
    assert "resample it first" in problem


@pytest.mark.parametrize("bad", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1.0, 1.0, 0.0, 1.0])])
def test_a_grid_without_room_is_refused(bad: np.ndarray) -> None:
    assert "flat or not a number" in gridProblem(bad)


def test_a_transform_that_exchanges_left_and_right_is_refused() -> None:
    with pytest.raises(ValueError, match="exchanges left and right"):
        Placement(np.diag([-1.0, 1.0, 1.0, 1.0]))


@pytest.mark.parametrize(
    ("matrix", "said"),
    [(np.diag([1.0, 1.0, 0.0, 1.0]), "flattens"), (np.full((4, 4), np.nan), "not an affine"), (np.eye(3), "not an")],
)
def test_a_matrix_that_places_nothing_is_refused(matrix: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Placement(matrix)


def affine(seed: int) -> np.ndarray:
    """A placement such as registration finds: turned, moved, a little scaled and sheared."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(rng) @ (np.eye(3) + 0.1 * rng.normal(size=(3, 3)))
    matrix[:3, 3] = rng.uniform(-60, 60, 3)
    return matrix if np.linalg.det(matrix[:3, :3]) > 0 else affine(seed + 1000)


@pytest.mark.parametrize("seed", range(10))
def test_a_point_goes_to_the_model_and_back(seed: int) -> None:
    placement = Placement(affine(seed))
    point = np.random.default_rng(seed).uniform(-80, 80, 3)
    there = placement.patientToModel @ np.append(point, 1)
    assert placement.position(point) == pytest.approx(there[2])
    np.testing.assert_allclose((placement.modelToPatient @ there)[:3], point, atol=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_the_left_of_the_patient_is_the_left_of_the_model(seed: int) -> None:
    """Three points of the patient keep their handedness, so a lesion on the left stays on the left."""
    rng = np.random.default_rng(seed)
    placement = Placement(affine(seed))
    axes = np.eye(3) + 0.2 * rng.normal(size=(3, 3))
    mapped = placement.patientToModel[:3, :3] @ axes
    assert np.sign(np.linalg.det(mapped)) == np.sign(np.linalg.det(axes))


def test_tilt_is_the_angle_between_planes() -> None:
    turned = np.eye(4)
    angle = np.radians(30)
    turned[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert Placement(turned).tiltDegrees(np.array([0.0, 0.0, 1.0])) == pytest.approx(30)
    assert IDENTITY.tiltDegrees(np.array([0.0, 0.0, -1.0])) == pytest.approx(0)


def test_tilt_follows_the_plane_and_not_its_normal_through_a_scaling() -> None:
    """Under a stretch along z the plane y = z becomes y = z / 2: its normal is not the mapped normal."""
    stretched = Placement(np.diag([1.0, 1.0, 2.0, 1.0]))
    normal = np.array([0.0, 1.0, -1.0]) / np.sqrt(2)
    assert stretched.tiltDegrees(normal) == pytest.approx(np.degrees(np.arctan(2)), abs=1e-6)


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (-1, -1, 1)])
def test_the_lesions_centre_lies_in_the_lesion_on_its_own_side(flips: tuple[int, ...]) -> None:
    ijkToRAS = np.diag([*(np.array(flips) * [1.25, 1.0, 3.0]), 1.0])
    ijkToRAS[:3, 3] = -ijkToRAS[:3, :3] @ [20, 20, 2]
    mask = np.zeros((5, 41, 41), np.uint8)
    left = ijkToRAS @ [0, 0, 0, 1]
    column = 5 if left[0] < 0 else 35  # RAS x grows to the patient's right
    mask[3, 10:13, column - 1 : column + 2] = 1
    centre = lesionCentre(mask, ijkToRAS)
    assert centre[0] < 0
    ijk = np.linalg.inv(ijkToRAS) @ np.append(centre, 1)
    i, j, k = np.rint(ijk[:3]).astype(int)
    assert mask[k, j, i] == 1


def test_the_centre_of_a_ring_lies_on_the_ring_and_of_nothing_nowhere() -> None:
    mask = np.zeros((1, 21, 21), np.uint8)
    mask[0, 5:16, 5:16] = 1
    mask[0, 7:14, 7:14] = 0
    i, j, k = np.rint(lesionCentre(mask, np.eye(4))).astype(int)
    assert mask[k, j, i] == 1
    assert lesionCentre(np.zeros((1, 4, 4)), np.eye(4)) is None
