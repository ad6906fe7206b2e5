from __future__ import annotations

import numpy as np

from clary.vision.heat_maps import Box, heat_colours, overlay, placed


def test_hotter_is_lighter_at_every_step():
    colours = heat_colours().astype(float) / 255
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    assert colours.shape == (256, 3)
    assert (np.diff(luminance) > -1e-3).all()
    assert luminance[0] < 0.05
    assert luminance[-1] > 0.75
    assert (np.diff(luminance[::16]) > 0).all()


def test_a_small_map_is_stretched_over_its_box():
    heat = placed(np.array([[0, 1], [0, 0]]), 20, 40, Box(10, 0, 30, 20))
    assert heat.shape == (20, 40)
    assert not heat[:, :10].any()
    assert not heat[:, 30:].any()
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert row < 10
    assert 20 <= column < 30
    assert heat.min() >= 0
    assert heat.max() <= 1


def test_the_unseen_rim_is_dark_and_the_hot_place_is_light():
    picture = np.full((20, 40, 3), 128, dtype=np.uint8)
    heat = placed(np.array([[0.0, 1.0]]), 20, 40, Box(10, 0, 30, 20))
    drawn = overlay(picture, heat, Box(10, 0, 30, 20))
    assert drawn[:, :10].max() < 60
    assert drawn[10, 29].mean() > drawn[10, 11].mean() + 30
