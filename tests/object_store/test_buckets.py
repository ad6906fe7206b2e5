"""What becomes of a bucket's name, and of all that belongs to a bucket when it goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from clary.object_store.errors import NoSuchBucket
from clary.object_store.store import ObjectStore


@pytest.mark.parametrize("shape", ["{folder}/link", "../link", "pictures/../../link", ".clary"])
def test_a_name_that_is_a_path_leads_to_no_link(
    store: ObjectStore, bucket: str, root: Path, shape: str
) -> None:
    link = root.parent / "link"
    link.symlink_to(root.parent)
    name = shape.format(folder=root.parent)
    assert not store.is_linked(name)
    with pytest.raises(NoSuchBucket):
        store.unlink(name)
    assert link.is_symlink()
