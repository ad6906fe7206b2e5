"""`clary.formats.known_networks`: what timm's source tells of its networks."""

from __future__ import annotations

import timm

from clary.formats.known_networks import is_surely_known, registered_names


def test_the_names_in_the_source_are_those_that_timm_has() -> None:
    assert registered_names() == set(timm.list_models())


def test_most_tags_of_pretrained_weights_are_known() -> None:
    tagged = timm.list_pretrained()
    unknown = [name for name in tagged if not is_surely_known(name)]
    # Timm makes some of them in loops, which only running it would show.
    assert len(unknown) < len(tagged) / 20


def test_what_nobody_published_is_not_known() -> None:
    for name in ("resnet19", "resnet18.nosuch", "nosuch.a1_in1k", ""):
        assert not is_surely_known(name)
