"""Who is in a cache, by digests that give nobody away, and whether a model was trained on one of them.

A person is known by name and by what the slices show, so that neither another name nor another folder hides anybody.
Of the slices, some are enough: those with the smallest digests, which every cache of that person chooses alike. Slices
that were prepared in another way (another grid or correction) are told by the name only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from jsddpm_core.data.slices import SPLITS, SliceCache
from jsddpm_core.manifest import Manifest, SubjectDigests

SLICES_A_SUBJECT = 8


def subject_digests(cache: SliceCache, salt: str) -> SubjectDigests:
    """The real people of a cache by split, in an order that says nothing.

    Args:
        cache: the prepared slices; those that a model drew are nobody's, and a painted lesion hides who it is.
        salt: hexadecimal.
    """
    people: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    for index, record in enumerate(cache.records):
        if not record.synthetic:
            own = people[record.split].setdefault(record.subject, [])
            if not record.simulated:
                own.append(_content(cache, index))
    lists = {}
    for split, subjects in people.items():
        known = {_of_name(salt, name) for name in subjects}
        for contents in subjects.values():
            known |= {_of_slice(salt, content) for content in sorted(set(contents))[:SLICES_A_SUBJECT]}
        lists[split] = tuple(sorted(known))
    return SubjectDigests(salt=salt, **lists)


def notes_its_subjects(manifest: Manifest) -> bool:
    """Whether a bundle says by whom it was trained; older ones do not."""
    return manifest.training.subject_digests is not None


def trained_on(manifest: Manifest, cache: SliceCache, splits: Iterable[str] = SPLITS) -> set[str]:
    """The subjects of a cache that a model, or one that it goes back to, learned from, as far as it says.

    Args:
        manifest: of the model's bundle.
        cache: where the subjects may have other names.
        splits: that are looked through.
    """
    record = manifest.training
    lists = [people for people in (record.subject_digests, *record.earlier_subjects) if people is not None]
    if not lists:
        return set()
    splits = set(splits)
    found: set[str] = set()
    for index, entry in enumerate(cache.records):
        if entry.split in splits and not entry.synthetic and entry.subject not in found:
            content = _content(cache, index)
            for people in lists:
                if {_of_name(people.salt, entry.subject), _of_slice(people.salt, content)} & set(people.train):
                    found.add(entry.subject)
    return found


def _content(cache: SliceCache, index: int) -> str:
    return hashlib.sha256(np.ascontiguousarray(cache.images[index], dtype="<f4").tobytes()).hexdigest()


def _of_name(salt: str, name: str) -> str:
    return hashlib.sha256(f"{salt}:name:{name}".encode()).hexdigest()


def _of_slice(salt: str, content: str) -> str:
    return hashlib.sha256(f"{salt}:slice:{content}".encode()).hexdigest()
